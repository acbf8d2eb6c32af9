//! What usage costs: the prices of `config` meet the tokens of `dialect`.

use crate::{
    config::prices::{Price, Rates},
    dialect::usage::{self, PicoUsd, TokenPrices, Usage},
};

/// What `usage` costs at a model's price.
#[must_use]
pub fn cost(usage: &Usage, price: &Price) -> PicoUsd {
    usage::cost(usage, &token_prices(price.at(usage.prompt_tokens)))
}

/// The same prices without their unit's type, which `dialect` does not know.
#[must_use]
pub fn token_prices(rates: &Rates) -> TokenPrices {
    let Rates { input, cached_input, cache_write, output, audio_minute, search } = rates;
    TokenPrices {
        input: input.0,
        cached_input: cached_input.0,
        cache_write: cache_write.0,
        output: output.0,
        audio_minute: audio_minute.0,
        search: search.0,
    }
}
