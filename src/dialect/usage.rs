//! Tokens used and what they cost.
//!
//! Source: OpenAI API reference, "The chat completion object" and "The
//! embeddings object" (`usage`), and the Responses API for the
//! `input_tokens`/`output_tokens` names. Those of Google and Cohere are read in their own rooms.

use std::fmt;
use std::iter::Sum;
use std::ops::{Add, AddAssign};
use std::sync::LazyLock;

use crate::dialect::json::{self, Cursor, JsonError, MemberFinder};
use crate::dialect::{cohere, gemini};

/// Tokens of one request, as the provider counted them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Usage {
    /// Tokens read, cached ones included.
    pub prompt_tokens: u64,
    /// Tokens written. None for embeddings.
    pub completion_tokens: u64,
    /// Both together, and what a provider counts beside them.
    pub total_tokens: u64,
    /// The part of `prompt_tokens` that came from the provider's prompt cache.
    pub cached_tokens: u64,
    /// The part of `prompt_tokens` that was written to it.
    pub cache_write_tokens: u64,
    /// Tokens thought and not shown. Most providers count them in
    /// `completion_tokens`, some only in `total_tokens`.
    pub reasoning_tokens: u64,
    /// Seconds of sound, where the provider counts those instead of tokens.
    pub seconds: u64,
    /// Searches, where the provider counts those of reranking.
    pub searches: u64,
}

impl Usage {
    /// Reads a usage object. `None` when it is not an object or counts nothing.
    ///
    /// Members that are null, absent, unknown or of another type are passed
    /// over. A missing total is the sum; a total alone (embeddings of some
    /// providers) is all prompt.
    pub fn parse(object: &[u8]) -> Option<Usage> {
        read_usage(&mut Cursor::new(object), object).ok()?
    }

    /// Tokens charged at the output price: all that were not read. This differs
    /// from `completion_tokens` where a provider counts reasoning apart.
    pub fn output_tokens(&self) -> u64 {
        self.completion_tokens.max(self.total_tokens.saturating_sub(self.prompt_tokens))
    }
}

fn read_usage(cursor: &mut Cursor<'_>, object: &[u8]) -> Result<Option<Usage>, JsonError> {
    let (mut prompt, mut completion, mut total) = (None, None, None);
    // Anthropic counts what its cache gave, and took, beside `input_tokens`.
    let (mut apart, mut read, mut written) = (false, 0, 0);
    let mut seconds = None;
    let mut usage = Usage::default();
    let mut more = cursor.begin_object()?;
    while more {
        let key = cursor.key()?;
        match key.span.of(object) {
            b"prompt_tokens_details" | b"input_tokens_details" => {
                // What was written is told by OpenRouter.
                let [cached, written] =
                    read_details(cursor, object, ["cached_tokens", "cache_write_tokens"])?;
                usage.cached_tokens = cached.unwrap_or(usage.cached_tokens);
                usage.cache_write_tokens = written.unwrap_or(usage.cache_write_tokens);
            }
            b"completion_tokens_details" | b"output_tokens_details" => {
                let [reasoning] = read_details(cursor, object, ["reasoning_tokens"])?;
                usage.reasoning_tokens = reasoning.unwrap_or(usage.reasoning_tokens);
            }
            name => {
                let count = json::count(cursor.value()?.of(object));
                match name {
                    b"prompt_tokens" => {
                        prompt = count.or(prompt);
                        apart = false;
                    }
                    b"input_tokens" => {
                        apart = prompt.is_none();
                        prompt = prompt.or(count);
                    }
                    b"cache_read_input_tokens" => read = count.unwrap_or(0),
                    b"cache_creation_input_tokens" => written = count.unwrap_or(0),
                    b"completion_tokens" | b"output_tokens" => completion = count.or(completion),
                    b"total_tokens" => total = count.or(total),
                    b"seconds" => seconds = count,
                    _ => {}
                }
            }
        }
        more = cursor.next_member()?;
    }
    if prompt.or(completion).or(total).is_none() {
        // Transcriptions may count only how long the sound is.
        return Ok(seconds.map(|seconds| Usage { seconds, ..Usage::default() }));
    }
    if let (true, Some(input)) = (apart, prompt) {
        prompt = Some(input.saturating_add(read).saturating_add(written));
        usage.cached_tokens = usage.cached_tokens.max(read);
        usage.cache_write_tokens = usage.cache_write_tokens.max(written);
    }
    usage.completion_tokens = completion.unwrap_or(0);
    usage.prompt_tokens =
        prompt.unwrap_or_else(|| total.unwrap_or(0).saturating_sub(usage.completion_tokens));
    usage.total_tokens = total.unwrap_or_else(|| usage.prompt_tokens.saturating_add(usage.completion_tokens));
    Ok(Some(usage))
}

/// Counts out of a details object, which may also be null.
fn read_details<const N: usize>(
    cursor: &mut Cursor<'_>,
    object: &[u8],
    names: [&str; N],
) -> Result<[Option<u64>; N], JsonError> {
    let mut found = [None; N];
    if cursor.peek() != b'{' {
        cursor.value()?;
        return Ok(found);
    }
    let mut more = cursor.begin_object()?;
    while more {
        let key = cursor.key()?;
        let value = cursor.value()?;
        for (name, found) in names.iter().zip(&mut found) {
            if key.is(object, name) {
                *found = json::count(value.of(object));
            }
        }
        more = cursor.next_member()?;
    }
    Ok(found)
}

/// Money in units of 10^-12 US dollar.
///
/// A price is a whole number of micro-dollars per million tokens, which is the
/// same number of pico-dollars per token: so a cost is one exact multiplication,
/// and sums of costs lose nothing. 128 bits hold any 2^64 tokens at any price;
/// sums stop at the top (10^26 dollars) instead of wrapping.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct PicoUsd(pub u128);

impl PicoUsd {
    /// The same in micro-USD, rounded up, at most as much as fits.
    #[must_use]
    pub fn micro_usd(self) -> i64 {
        const PICO: u64 = 1_000_000;
        match u64::try_from(self.0) {
            // Nearly always; dividing 128 bits is a loop.
            Ok(pico) => i64::try_from(pico.div_ceil(PICO)).unwrap_or(i64::MAX),
            Err(_) => i64::try_from(self.0.div_ceil(PICO.into())).unwrap_or(i64::MAX),
        }
    }
}

/// Prices of tokens, in micro-USD per million of them, and of what is counted instead, in micro-USD.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct TokenPrices {
    /// For tokens read.
    pub input: u64,
    /// For those of them that came from the provider's prompt cache.
    pub cached_input: u64,
    /// For those of them that were written to it.
    pub cache_write: u64,
    /// For tokens written.
    pub output: u64,
    /// For a minute of sound.
    pub audio_minute: u64,
    /// For a search.
    pub search: u64,
}

/// What a request cost: [`Usage::prompt_tokens`] at the input price, the cached
/// ones among them and those written to the cache at theirs, and [`Usage::output_tokens`] at the output price; or seconds
/// of sound, or searches. Exact, but for a part of a pico-dollar of a second.
pub fn cost(usage: &Usage, prices: &TokenPrices) -> PicoUsd {
    let part = |tokens: u64, price: u64| PicoUsd(u128::from(tokens) * u128::from(price));
    // A provider that counts more cached tokens than there were counts wrongly.
    let cached = usage.cached_tokens.min(usage.prompt_tokens);
    let written = usage.cache_write_tokens.min(usage.prompt_tokens - cached);
    let tokens = part(usage.prompt_tokens - cached - written, prices.input)
        + part(cached, prices.cached_input)
        + part(written, prices.cache_write)
        + part(usage.output_tokens(), prices.output);
    if usage.seconds == 0 && usage.searches == 0 {
        return tokens;
    }
    const PICO: u128 = 1_000_000;
    let counted = |count: u64, micro: u64| (u128::from(count) * u128::from(micro)).saturating_mul(PICO);
    tokens
        + PicoUsd(counted(usage.seconds, prices.audio_minute) / 60)
        + PicoUsd(counted(usage.searches, prices.search))
}

impl Add for PicoUsd {
    type Output = PicoUsd;

    fn add(self, other: PicoUsd) -> PicoUsd {
        PicoUsd(self.0.saturating_add(other.0))
    }
}

impl AddAssign for PicoUsd {
    fn add_assign(&mut self, other: PicoUsd) {
        *self = *self + other;
    }
}

impl Sum for PicoUsd {
    fn sum<I: Iterator<Item = PicoUsd>>(amounts: I) -> PicoUsd {
        amounts.fold(PicoUsd::default(), Add::add)
    }
}

impl PicoUsd {
    /// Dollars as an exact decimal without trailing zeros: `0.00000015`, `12.5`, `0`.
    pub fn write(self, out: &mut Vec<u8>) {
        const PICO: u64 = 1_000_000_000_000;
        let (whole, mut fraction) = match u64::try_from(self.0) {
            // Nearly always; dividing 128 bits is a loop.
            Ok(pico) => (u128::from(pico / PICO), pico % PICO),
            Err(_) => (self.0 / u128::from(PICO), (self.0 % u128::from(PICO)) as u64),
        };
        out.extend_from_slice(itoa::Buffer::new().format(whole).as_bytes());
        if fraction == 0 {
            return;
        }
        let mut digits = *b".000000000000";
        for digit in digits.iter_mut().skip(1).rev() {
            *digit = b'0' + (fraction % 10) as u8;
            fraction /= 10;
        }
        let end = digits.iter().rposition(|&digit| digit != b'0').map_or(0, |last| last + 1);
        out.extend_from_slice(digits.get(..end).unwrap_or_default());
    }
}

impl fmt::Display for PicoUsd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = Vec::with_capacity(16);
        self.write(&mut text);
        f.write_str(std::str::from_utf8(&text).unwrap_or_default())
    }
}

/// The most bytes of a usage object that are read; real ones have about 300. A
/// longer one is passed over.
pub const MAX_USAGE_BYTES: usize = 16 * 1024;

/// Finds `"usage":` members in JSON text.
pub static USAGE_MEMBER: LazyLock<MemberFinder> = LazyLock::new(|| MemberFinder::new("\"usage\""));
/// The same as Google has it.
static GOOGLES_MEMBER: LazyLock<MemberFinder> = LazyLock::new(|| MemberFinder::new("\"usageMetadata\""));
/// Where Cohere tells the tokens of embeddings and ranks.
static META_MEMBER: LazyLock<MemberFinder> = LazyLock::new(|| MemberFinder::new("\"meta\""));

/// In whose words usage is told.
#[derive(Debug, Clone, Copy)]
enum Words {
    /// OpenAI's, Anthropic's and those of their likes.
    Usual,
    /// Cohere's of a chat.
    Cohere,
    /// Cohere's beside vectors and ranks.
    CohereMeta,
    /// Google's.
    Google,
}

impl Words {
    fn member(self) -> &'static MemberFinder {
        match self {
            Self::Usual | Self::Cohere => &USAGE_MEMBER,
            Self::CohereMeta => &META_MEMBER,
            Self::Google => &GOOGLES_MEMBER,
        }
    }

    fn read(self, cursor: &mut Cursor<'_>, object: &[u8]) -> Result<Option<Usage>, JsonError> {
        match self {
            Self::Usual => read_usage(cursor, object),
            Self::Cohere | Self::CohereMeta => cohere::read_usage(cursor, object),
            Self::Google => gemini::read_usage(cursor, object),
        }
    }
}

/// Watches an answer go by in pieces and picks up its usage object, at any
/// depth. Of several, the last one that counts something is taken. Where the
/// answer is cut into pieces makes no difference.
///
/// That `"usage":{` cannot be text that a model wrote is shown at
/// [`MemberFinder`]; this is the same search, made able to stop anywhere.
#[derive(Debug)]
pub struct UsageScanner {
    words: Words,
    state: State,
    /// The byte before the next one to come, or before the name being matched.
    before: u8,
    /// The part of a usage object that earlier pieces held.
    held: Vec<u8>,
    last: Option<Usage>,
}

#[derive(Debug, Clone, Copy)]
enum State {
    /// So many bytes of the quoted name were the end of the last piece.
    Name(usize),
    /// After the name, before its colon.
    Colon,
    /// After the colon, before the value.
    Value,
    /// Inside the object.
    Object { open: u32, string: InString },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum InString {
    No,
    Yes,
    AfterBackslash,
}

impl Default for UsageScanner {
    fn default() -> Self {
        UsageScanner::new()
    }
}

impl UsageScanner {
    /// A scanner before the first byte.
    pub fn new() -> Self {
        Self::of(Words::Usual)
    }

    /// The same for an answer in Google's words.
    pub fn googles() -> Self {
        Self::of(Words::Google)
    }

    /// The same for a chat in Cohere's words.
    pub fn coheres() -> Self {
        Self::of(Words::Cohere)
    }

    /// The same for an answer of Cohere's that is no chat, which tells its usage in `meta`.
    pub fn of_meta() -> Self {
        Self::of(Words::CohereMeta)
    }

    fn of(words: Words) -> Self {
        UsageScanner { words, state: State::Name(0), before: 0, held: Vec::new(), last: None }
    }

    /// Takes the next piece.
    pub fn feed(&mut self, piece: &[u8]) {
        let mut rest = piece;
        while !rest.is_empty() {
            rest = match self.state {
                State::Name(0) => self.seek(rest),
                State::Name(matched) => self.match_name(matched, rest),
                State::Colon => self.expect(b':', State::Value, rest),
                State::Value => {
                    self.held.clear();
                    let inside = State::Object { open: 0, string: InString::No };
                    self.expect(b'{', inside, rest)
                }
                State::Object { open, string } => self.object(open, string, rest),
            };
        }
    }

    /// The usage found, once the answer ended.
    pub fn finish(self) -> Option<Usage> {
        self.last
    }

    /// Looks for the name in text that begins outside of it.
    fn seek<'p>(&mut self, text: &'p [u8]) -> &'p [u8] {
        let member = self.words.member();
        let name = member.quoted_name();
        if let Some(at) = member.find_name(text)
            && let Some((skipped, found)) = text.split_at_checked(at)
        {
            self.passed(skipped);
            let rest = found.get(name.len()..).unwrap_or_default();
            self.named();
            return rest;
        }
        // The name may have begun at the end of this piece.
        for matched in (1..name.len()).rev() {
            if let Some(skipped) = name.get(..matched).and_then(|start| text.strip_suffix(start)) {
                self.passed(skipped);
                self.state = State::Name(matched);
                return &[];
            }
        }
        self.passed(text);
        &[]
    }

    /// Goes on with a name of which an earlier piece had the start.
    fn match_name<'p>(&mut self, matched: usize, text: &'p [u8]) -> &'p [u8] {
        let name = self.words.member().quoted_name();
        let Some((byte, rest)) = text.split_first() else { return text };
        if name.get(matched) != Some(byte) {
            // Not the name. Its quote begins the name and occurs nowhere else in
            // what was matched, so no other name began meanwhile.
            self.passed(name.get(..matched).unwrap_or_default());
            self.state = State::Name(0);
            return text;
        }
        self.state = State::Name(matched + 1);
        if matched + 1 == name.len() {
            self.named();
        }
        rest
    }

    /// The quoted name was read whole.
    fn named(&mut self) {
        self.state = if self.before == b'\\' { State::Name(0) } else { State::Colon };
        self.before = b'"';
    }

    fn passed(&mut self, skipped: &[u8]) {
        if let Some(last) = skipped.last() {
            self.before = *last;
        }
    }

    /// Skips white space and goes on to `next` when `wanted` follows.
    fn expect<'p>(&mut self, wanted: u8, next: State, text: &'p [u8]) -> &'p [u8] {
        let rest = json::skip_space(text);
        let Some(byte) = rest.first() else { return rest };
        if *byte != wanted {
            // Before it stood white space or a delimiter; none is a backslash.
            self.before = b' ';
            self.state = State::Name(0);
            return rest;
        }
        self.state = next;
        // An object is read from its brace on.
        if wanted == b'{' { rest } else { rest.get(1..).unwrap_or_default() }
    }

    /// Goes on inside an object until it ends.
    fn object<'p>(&mut self, mut open: u32, mut string: InString, text: &'p [u8]) -> &'p [u8] {
        let room = MAX_USAGE_BYTES - self.held.len();
        if self.held.is_empty() {
            // Nearly always it is all here; then one pass finds its end too.
            let within = text.get(..room).unwrap_or(text);
            let mut cursor = Cursor::new(within);
            if let Ok(usage) = self.words.read(&mut cursor, within) {
                self.object_ended(usage);
                return text.get(cursor.pos()..).unwrap_or_default();
            }
        }
        for (at, byte) in text.iter().enumerate().take(room) {
            match (string, byte) {
                (InString::AfterBackslash, _) => string = InString::Yes,
                (InString::Yes, b'\\') => string = InString::AfterBackslash,
                (InString::Yes, b'"') => string = InString::No,
                (InString::Yes, _) => {}
                (InString::No, b'"') => string = InString::Yes,
                (InString::No, b'{' | b'[') => open += 1,
                (InString::No, b'}' | b']') => open -= 1,
                (InString::No, _) => {}
            }
            if open == 0 {
                let (end, rest) = text.split_at_checked(at + 1).unwrap_or_default();
                self.held.extend_from_slice(end);
                let usage = self.words.read(&mut Cursor::new(&self.held), &self.held);
                self.object_ended(usage.ok().flatten());
                return rest;
            }
        }
        let (seen, rest) = text.split_at_checked(room).unwrap_or((text, &[]));
        self.held.extend_from_slice(seen);
        self.state = State::Object { open, string };
        if self.held.len() >= MAX_USAGE_BYTES {
            let held = std::mem::take(&mut self.held);
            self.passed(&held);
            self.state = State::Name(0);
        }
        rest
    }

    fn object_ended(&mut self, usage: Option<Usage>) {
        self.last = usage.or(self.last);
        self.held.clear();
        self.before = b'}';
        self.state = State::Name(0);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn of(prompt: u64, completion: u64, total: u64, cached: u64, reasoning: u64) -> Option<Usage> {
        Some(Usage {
            prompt_tokens: prompt,
            completion_tokens: completion,
            total_tokens: total,
            cached_tokens: cached,
            cache_write_tokens: 0,
            reasoning_tokens: reasoning,
            ..Usage::default()
        })
    }

    #[test]
    fn googles_words_are_read_wherever_the_answer_is_cut() {
        let answer = br#"{"candidates":[{"content":{"parts":[{"text":"\"usageMetadata\":{}"}]}}],"usageMetadata" : {"promptTokenCount":9,"candidatesTokenCount":3,"thoughtsTokenCount":2,"cachedContentTokenCount":4,"totalTokenCount":14,"promptTokensDetails":[{"modality":"TEXT","tokenCount":9}]},"modelVersion":"m"}"#;
        for at in 0..answer.len() {
            let mut scanner = UsageScanner::googles();
            let (first, rest) = answer.split_at(at);
            scanner.feed(first);
            scanner.feed(rest);
            assert_eq!(scanner.finish(), of(9, 5, 14, 4, 2), "cut at {at}");
        }
        let mut scanner = UsageScanner::googles();
        scanner.feed(br#"{"usage":{"prompt_tokens":1}}"#);
        assert_eq!(scanner.finish(), None);
    }

    #[test]
    fn what_anthropics_cache_gave_is_part_of_the_prompt() {
        let object = br#"{"input_tokens":5,"cache_creation_input_tokens":7,"cache_read_input_tokens":11,"output_tokens":2}"#;
        let usage = Usage::parse(object).unwrap();
        assert_eq!((usage.prompt_tokens, usage.cached_tokens, usage.total_tokens), (23, 11, 25));
        assert_eq!(usage.cache_write_tokens, 7);
        let object = br#"{"prompt_tokens":23,"completion_tokens":2,"prompt_tokens_details":{"cached_tokens":1,"cache_write_tokens":9}}"#;
        assert_eq!(
            Usage::parse(object).map(|usage| (usage.cached_tokens, usage.cache_write_tokens)),
            Some((1, 9))
        );
        // Some add these names to OpenAI's, which count everything already.
        let object = br#"{"prompt_tokens":23,"completion_tokens":2,"cache_read_input_tokens":11}"#;
        assert_eq!(Usage::parse(object).unwrap().prompt_tokens, 23);
    }

    #[test]
    fn reads_what_providers_send() {
        for (object, wanted) in [
            (
                r#"{"prompt_tokens":19,"completion_tokens":10,"total_tokens":29,
                    "prompt_tokens_details":{"cached_tokens":8,"audio_tokens":0},
                    "completion_tokens_details":{"reasoning_tokens":4,"audio_tokens":0}}"#,
                of(19, 10, 29, 8, 4),
            ),
            // Embeddings.
            (r#"{"prompt_tokens": 8, "total_tokens": 8}"#, of(8, 0, 8, 0, 0)),
            (r#"{"total_tokens": 8}"#, of(8, 0, 8, 0, 0)),
            // Other names.
            (
                r#"{"input_tokens":5,"output_tokens":6,"input_tokens_details":{"cached_tokens":1},
                    "output_tokens_details":{"reasoning_tokens":2}}"#,
                of(5, 6, 11, 1, 2),
            ),
            // Nulls, floats, strangers, other types.
            (
                r#"{"prompt_tokens":12.0,"completion_tokens":3e0,"total_tokens":null,
                    "prompt_tokens_details":null,"completion_tokens_details":{"reasoning_tokens":null},
                    "cost":0.00014,"queue_time":0.1,"x":{"prompt_tokens":99},"y":[{}]}"#,
                of(12, 3, 15, 0, 0),
            ),
            (r#"{"prompt_tokens":"12","completion_tokens":1}"#, of(0, 1, 1, 0, 0)),
            (r#"{"prompt_tokens":-1,"completion_tokens":1}"#, of(0, 1, 1, 0, 0)),
            (
                r#"{"prompt_tokens":1e30,"completion_tokens":99999999999999999999}"#,
                of(u64::MAX, u64::MAX, u64::MAX, 0, 0),
            ),
            (
                r#"{"type":"tokens","input_tokens":14,"input_token_details":{"text_tokens":10,"audio_tokens":4},
                    "output_tokens":101,"total_tokens":115}"#,
                of(14, 101, 115, 0, 0),
            ),
            (r#"{"prompt_tokens":9,"total_tokens":9,"cached_tokens":3}"#, of(9, 0, 9, 0, 0)),
            (r#"{"type":"duration","seconds":9}"#, Some(Usage { seconds: 9, ..Usage::default() })),
            // Nothing counted.
            ("{}", None),
            (r#"{"prompt_tokens":null}"#, None),
            ("null", None),
            ("[]", None),
            (r#"{"prompt_tokens":1"#, None),
        ] {
            assert_eq!(Usage::parse(object.as_bytes()), wanted, "{object}");
        }
    }

    #[test]
    fn charges_all_that_was_written() {
        let counted_apart =
            Usage { prompt_tokens: 32, completion_tokens: 9, total_tokens: 340, ..Usage::default() };
        assert_eq!(counted_apart.output_tokens(), 308);
        let odd_total = Usage { total_tokens: 1, ..counted_apart };
        assert_eq!(odd_total.output_tokens(), 9);
    }

    #[test]
    fn money_is_exact() {
        let usage = of(19, 10, 29, 0, 0).unwrap();
        // 0.15 and 0.60 dollars per million tokens.
        let prices = TokenPrices {
            input: 150_000,
            cached_input: 75_000,
            cache_write: 187_500,
            output: 600_000,
            ..TokenPrices::default()
        };
        let cost = super::cost(&usage, &prices);
        assert_eq!(cost, PicoUsd(19 * 150_000 + 10 * 600_000));
        assert_eq!(cost.to_string(), "0.00000885");
        assert_eq!((0..1_000_000).map(|_| cost).sum::<PicoUsd>().to_string(), "8.85");
        for (pico, text) in [
            (0, "0"),
            (1, "0.000000000001"),
            (1_000_000_000_000, "1"),
            (12_500_000_000_000, "12.5"),
            (100_000_000_000_000, "100"),
        ] {
            assert_eq!(PicoUsd(pico).to_string(), text);
        }
        for (pico, micro) in [
            (0, 0),
            (1, 1),
            (1_000_000, 1),
            (1_000_001, 2),
            (1 << 64, 18_446_744_073_710),
            (u128::MAX, i64::MAX),
        ] {
            assert_eq!(PicoUsd(pico).micro_usd(), micro);
        }
        let most = of(u64::MAX, u64::MAX, u64::MAX, 0, 0).unwrap();
        let dear = TokenPrices {
            input: u64::MAX,
            cached_input: u64::MAX,
            cache_write: u64::MAX,
            output: u64::MAX,
            audio_minute: u64::MAX,
            search: u64::MAX,
        };
        assert_eq!(super::cost(&most, &dear), PicoUsd(u128::MAX));
        let sound = Usage { seconds: 90, ..Usage::default() };
        let by_minute = TokenPrices { audio_minute: 6_000, search: 2_000, ..TokenPrices::default() };
        assert_eq!(super::cost(&sound, &by_minute).to_string(), "0.009");
        let searches = Usage { searches: 3, ..Usage::default() };
        assert_eq!(super::cost(&searches, &by_minute).to_string(), "0.006");
        // Cached tokens are part of the prompt's, however many a provider says there are.
        for (cached, pico) in [(8, 11 * 150_000 + 8 * 75_000), (19, 19 * 75_000), (99, 19 * 75_000)] {
            let usage = of(19, 10, 29, cached, 0).unwrap();
            assert_eq!(super::cost(&usage, &prices), PicoUsd(pico + 10 * 600_000));
        }
        // So are those written to the cache.
        let parts =
            |[plain, cached, written]: [u128; 3]| plain * 150_000 + cached * 75_000 + written * 187_500;
        for (cached, written, of) in [(8, 4, [7, 8, 4]), (8, 99, [0, 8, 11]), (0, 19, [0, 0, 19])] {
            let usage = Usage { cache_write_tokens: written, ..self::of(19, 10, 29, cached, 0).unwrap() };
            assert_eq!(super::cost(&usage, &prices), PicoUsd(parts(of) + 10 * 600_000));
        }
    }

    fn scan<'a>(pieces: impl IntoIterator<Item = &'a [u8]>) -> Option<Usage> {
        let mut scanner = UsageScanner::new();
        for piece in pieces {
            scanner.feed(piece);
        }
        scanner.finish()
    }

    const ANSWERS: [(&str, Option<u64>); 17] = [
        (r#"{"id":"a","usage":{"prompt_tokens":1,"total_tokens":3}}"#, Some(3)),
        ("{\"usage\" \t:\r\n {\"prompt_tokens\" : 1 , \"total_tokens\" : 3 } }", Some(3)),
        (r#"{"usage":{"total_tokens":3,"d":{"}":"\"}{","e":[{}]}},"z":1}"#, Some(3)),
        // The last that counts.
        (r#"{"usage":{"total_tokens":3},"x":{"usage":{"total_tokens":4}}}"#, Some(4)),
        (r#"{"usage":{"total_tokens":3},"x":{"usage":{}},"y":{"usage":null}}"#, Some(3)),
        (r#"{"usage":null,"x":{"usage":{"total_tokens":4}}}"#, Some(4)),
        // Text is not a member.
        (r#"{"content":"\"usage\":{\"total_tokens\":3}"}"#, None),
        (r#"{"content":"say \"usage","a":{"total_tokens":3}}"#, None),
        (r#"{"content\"usage":{"total_tokens":3}}"#, None),
        (r#"{"a\\":"usage","b":{"total_tokens":3}}"#, None),
        (r#"{"content":"usage","usage":{"total_tokens":3}}"#, Some(3)),
        (r#"["usage","usage",{"usage":{"total_tokens":3}}]"#, Some(3)),
        // Not whole, not valid, not an object.
        (r#"{"usage":{"total_tokens":3"#, None),
        (r#"{"usage":{"total_tokens":x},"usage":{"total_tokens":4}}"#, Some(4)),
        (r#"{"usage":[{"total_tokens":3}]}"#, None),
        (r#""usage"usage":{"total_tokens":3}"#, None),
        (r#"{"usag"usage":{"total_tokens":3}}"#, Some(3)),
    ];

    #[test]
    fn finds_the_usage_wherever_an_answer_is_cut() {
        for (answer, wanted) in ANSWERS {
            let bytes = answer.as_bytes();
            assert_eq!(scan([bytes]).map(|usage| usage.total_tokens), wanted, "{answer}");
            let whole = scan([bytes]);
            assert_eq!(scan(bytes.chunks(1)), whole, "{answer}");
            for first in 0..=bytes.len() {
                for second in first..=bytes.len() {
                    let pieces = [&bytes[..first], &bytes[first..second], &bytes[second..]];
                    assert_eq!(scan(pieces), whole, "{answer} cut at {first} and {second}");
                }
            }
        }
    }

    #[test]
    fn reads_what_cohere_sends() {
        for (object, wanted) in [
            (
                r#"{"billed_units":{"input_tokens":5.0,"output_tokens":4},"tokens":{"input_tokens":9,"output_tokens":4},
                    "cached_tokens":3}"#,
                of(5, 4, 9, 3, 0),
            ),
            (r#"{"tokens":{"input_tokens":9,"output_tokens":4}}"#, of(9, 4, 13, 0, 0)),
            (r#"{"api_version":{"version":"2"},"billed_units":{"input_tokens":7}}"#, of(7, 0, 7, 0, 0)),
            (
                r#"{"api_version":{"version":"2"},"billed_units":{"search_units":2}}"#,
                Some(Usage { searches: 2, ..Usage::default() }),
            ),
        ] {
            for (mut scanner, name) in [(UsageScanner::coheres(), "usage"), (UsageScanner::of_meta(), "meta")]
            {
                scanner.feed(format!("{{\"{name}\":{object}}}").as_bytes());
                assert_eq!(scanner.finish(), wanted, "{object}");
            }
        }
    }

    #[test]
    fn coheres_vectors_tell_it_in_their_meta() {
        let answer = br#"{"id":"i","texts":["\"meta\":{"],"meta":{"billed_units":{"input_tokens":7}}}"#;
        for size in 1..answer.len() {
            let mut scanner = UsageScanner::of_meta();
            answer.chunks(size).for_each(|piece| scanner.feed(piece));
            assert_eq!(scanner.finish().map(|usage| usage.prompt_tokens), Some(7), "{size}");
        }
    }

    #[test]
    fn passes_over_an_object_that_is_too_long() {
        for (over, wanted) in [(-1, Some(3)), (0, Some(3)), (1, None), (2, None), (5000, None)] {
            let head = r#"{"usage":{"total_tokens":3,"x":""#;
            let wrapping = head.len() - r#"{"usage":"#.len() + r#""}"#.len();
            let padding = (MAX_USAGE_BYTES - wrapping).strict_add_signed(over);
            let text = format!("{head}{}\"}}}}", "y".repeat(padding));
            let bytes = text.as_bytes();
            for size in [1, 7, 4096, MAX_USAGE_BYTES, bytes.len()] {
                assert_eq!(scan(bytes.chunks(size)).map(|usage| usage.total_tokens), wanted, "{size}");
            }
            // And finds the next one.
            let text = format!("{text},{{\"usage\":{{\"total_tokens\":4}}}}");
            for size in [1, 7, 4096, text.len()] {
                let found = scan(text.as_bytes().chunks(size));
                assert_eq!(found.map(|usage| usage.total_tokens), Some(4), "{size}");
            }
        }
    }

    proptest! {
        /// Not only for valid JSON: tokens in any order, cut anywhere.
        #[test]
        fn cuts_never_matter(
            tokens in prop::collection::vec(prop::sample::select(vec![
                "\"usage\"", "\"usag", "usage\"", "\"", "\\", ":", "{", "}", " ", "[", "]", ",",
                "\"usage\":{\"total_tokens\":7}", "\"total_tokens\":3", "\"usage\": {", "x",
            ]), 0..30),
            cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..6),
        ) {
            let text = tokens.concat();
            let bytes = text.as_bytes();
            let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut.index(bytes.len() + 1)).collect();
            cuts.extend([0, bytes.len()]);
            cuts.sort_unstable();
            let pieces = cuts.windows(2).map(|pair| &bytes[pair[0]..pair[1]]);
            prop_assert_eq!(scan(pieces), scan([bytes]));
            prop_assert_eq!(scan(bytes.chunks(1)), scan([bytes]));
        }
    }
}
