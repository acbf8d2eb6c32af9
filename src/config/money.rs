//! Money as integers, and the exact reading of decimals.

use std::fmt;

/// Decimals a fixed-point value keeps: a micro-unit.
const DECIMALS: usize = 6;
/// One unit in micro-units.
const UNIT: u64 = 1_000_000;

/// A price: micro-USD per one million tokens. 0.15 USD per 1M tokens is `150_000`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct MicroUsdPerMillion(pub u64);

impl MicroUsdPerMillion {
    /// What `tokens` cost at this price, in pico-USD (10⁻¹² USD): exact, nothing is rounded.
    pub fn pico_usd(self, tokens: u64) -> u128 {
        u128::from(self.0) * u128::from(tokens)
    }
}

impl fmt::Display for MicroUsdPerMillion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} USD/1M", Decimal(self.0))
    }
}

/// An amount of money: micro-USD. 2.50 USD is `2_500_000`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct MicroUsd(pub u64);

impl fmt::Display for MicroUsd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} USD", Decimal(self.0))
    }
}

/// Micro-units as the shortest decimal.
struct Decimal(u64);

impl fmt::Display for Decimal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (whole, micro) = (self.0 / UNIT, self.0 % UNIT);
        if micro == 0 {
            return write!(f, "{whole}");
        }
        let decimals = format!("{micro:06}");
        write!(f, "{whole}.{}", decimals.trim_end_matches('0'))
    }
}

/// Why a decimal was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum DecimalError {
    NotANumber,
    Negative,
    Exponent,
    TooPrecise,
    TooLarge(u64),
}

impl fmt::Display for DecimalError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotANumber => f.write_str("expected a decimal number such as 0.15"),
            Self::Negative => f.write_str("must not be negative"),
            Self::Exponent => f.write_str("write the number out, without an exponent"),
            Self::TooPrecise => write!(f, "has more than {DECIMALS} decimals"),
            Self::TooLarge(max) => write!(f, "must be at most {max}"),
        }
    }
}

/// Reads a decimal of at most `max` whole units into micro-units, exactly: no float is involved.
pub(super) fn micro_units(text: &str, max: u64) -> Result<u64, DecimalError> {
    let text = text.strip_prefix('+').unwrap_or(text);
    if let Some(rest) = text.strip_prefix('-') {
        let number = rest.starts_with(|c: char| c.is_ascii_digit() || c == '.');
        return Err(if number { DecimalError::Negative } else { DecimalError::NotANumber });
    }
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let digits = |part: &str| part.bytes().all(|b| b.is_ascii_digit());
    if whole.is_empty() && fraction.is_empty() {
        return Err(DecimalError::NotANumber);
    }
    if !digits(whole) || !digits(fraction) {
        let exponent = text.starts_with(|c: char| c.is_ascii_digit())
            && text.bytes().all(|b| b.is_ascii_digit() || b"eE.+-".contains(&b));
        return Err(if exponent { DecimalError::Exponent } else { DecimalError::NotANumber });
    }
    let fraction = fraction.trim_end_matches('0');
    if fraction.len() > DECIMALS {
        return Err(DecimalError::TooPrecise);
    }
    let too_large = DecimalError::TooLarge(max);
    let whole: u64 = match whole.trim_start_matches('0') {
        "" => 0,
        digits => digits.parse().map_err(|_| too_large)?,
    };
    // Padding to six digits turns the fraction into micro-units; at most "999999" parses.
    let micro: u64 = format!("{fraction:0<DECIMALS$}").parse().unwrap_or(0);
    let value = whole.checked_mul(UNIT).and_then(|units| units.checked_add(micro)).ok_or(too_large)?;
    if value > max.saturating_mul(UNIT) {
        return Err(too_large);
    }
    Ok(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_decimals_exactly() {
        for (text, micro) in [
            ("0", 0),
            ("0.15", 150_000),
            (".5", 500_000),
            ("2.", 2_000_000),
            ("+1.5", 1_500_000),
            ("0.000001", 1),
            ("0.00025", 250),
            ("0.1000000000", 100_000),
            ("007", 7_000_000),
            ("1000", 1_000_000_000),
        ] {
            assert_eq!(micro_units(text, 1000), Ok(micro), "{text}");
        }
    }

    #[test]
    fn names_what_is_wrong() {
        for (text, error) in [
            ("", DecimalError::NotANumber),
            (".", DecimalError::NotANumber),
            ("-", DecimalError::NotANumber),
            ("free", DecimalError::NotANumber),
            ("1,5", DecimalError::NotANumber),
            ("$1", DecimalError::NotANumber),
            ("-1", DecimalError::Negative),
            ("1e-3", DecimalError::Exponent),
            ("0.0000001", DecimalError::TooPrecise),
            ("1000.000001", DecimalError::TooLarge(1000)),
            ("99999999999999999999999", DecimalError::TooLarge(1000)),
        ] {
            assert_eq!(micro_units(text, 1000), Err(error), "{text}");
        }
    }

    #[test]
    fn prices_print_and_multiply_exactly() {
        let price = MicroUsdPerMillion(150_000);
        assert_eq!(price.to_string(), "0.15 USD/1M");
        assert_eq!(MicroUsdPerMillion(3_000_000).to_string(), "3 USD/1M");
        assert_eq!(MicroUsd(2_500_000).to_string(), "2.5 USD");
        // 1M tokens at 0.15 USD per 1M are 0.15 USD.
        assert_eq!(price.pico_usd(1_000_000), 150_000_000_000);
    }
}
