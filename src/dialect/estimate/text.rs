//! How many tokens a text probably is, from pairs of neighbouring bytes.
//!
//! A byte-level BPE reads words with the space before them, numbers in threes, runs of punctuation, and
//! other scripts in pieces of a few characters. So a token most often begins where the class of bytes
//! changes. Each pair (class of the byte before, class of this byte) has a cost, fitted to the counts of
//! o200k_base over `bench/estimator/corpus`; a text costs the sum. That is two table look-ups per byte and
//! one branch per four. docs/tokens.md has the method and the errors.

/// Cost of one token.
pub(super) const TOKEN: u64 = 1024;

// Classes of bytes. Those of a multi-byte character go by its first byte.
const SPACE: u8 = 0;
const NEWLINE: u8 = 1;
const VOWEL: u8 = 2;
const CONSONANT: u8 = 3;
const UPPER: u8 = 4;
const DIGIT: u8 = 5;
const PUNCT: u8 = 6;
/// Latin with accents (U+00C0 to U+02FF).
const LATIN: u8 = 7;
/// Combining accents and the first Greek letters.
const COMBINING: u8 = 8;
const GREEK: u8 = 9;
const CYRILLIC: u8 = 10;
/// Armenian and Hebrew.
const HEBREW: u8 = 11;
const ARABIC: u8 = 12;
/// U+0800 to U+0FFF: the scripts of India and Thai.
const INDIC: u8 = 13;
/// U+1000 to U+1FFF; of it, mostly Vietnamese vowels.
const E1: u8 = 14;
/// U+2000 to U+2FFF: dashes, quotes, arrows, signs.
const SIGN: u8 = 15;
/// U+3000 to U+3FFF: kana and East Asian punctuation.
const KANA: u8 = 16;
const HAN: u8 = 17;
const HANGUL: u8 = 18;
/// U+F000 to U+FFFF: full-width forms.
const WIDE: u8 = 19;
/// Beyond U+FFFF: emoji.
const EMOJI: u8 = 20;
/// U+0080 to U+00BF: Latin signs.
const LATIN_SIGN: u8 = 21;
/// Every byte of a character but its first.
const CONT: u8 = 22;
/// What ends a run inside a JSON string: a quote or a backslash. It has no costs, and a bit of its own, so
/// that one test tells whether there is one among several bytes.
const STOP: u8 = 32;
/// A power of two above the classes.
const CLASSES: usize = 32;

// An index out of bounds does not compile.
#[allow(clippy::indexing_slicing)]
const CLASS: [u8; 256] = {
    let mut table = [PUNCT; 256];
    let mut byte = 0;
    while byte < 256 {
        table[byte] = match byte as u8 {
            b'"' | b'\\' => STOP,
            b' ' => SPACE,
            b'\n' | b'\r' | b'\t' => NEWLINE,
            b'a' | b'e' | b'i' | b'o' | b'u' | b'y' => VOWEL,
            b'a'..=b'z' => CONSONANT,
            b'A'..=b'Z' => UPPER,
            b'0'..=b'9' => DIGIT,
            0x80..=0xbf => CONT,
            0xc2 => LATIN_SIGN,
            0xc0..=0xcb => LATIN,
            0xcc..=0xcd => COMBINING,
            0xce..=0xcf => GREEK,
            0xd0..=0xd3 => CYRILLIC,
            0xd4..=0xd7 => HEBREW,
            0xd8..=0xdf => ARABIC,
            0xe0 => INDIC,
            0xe1 => E1,
            0xe2 => SIGN,
            0xe3 => KANA,
            0xe4..=0xe9 => HAN,
            0xea..=0xee => HANGUL,
            0xef => WIDE,
            0xf0..=0xff => EMOJI,
            _ => PUNCT,
        };
        byte += 1;
    }
    table
};

#[allow(clippy::indexing_slicing)] // only called for constants
const fn set<const N: usize>(classes: [u8; N]) -> u32 {
    let mut set = 0;
    let mut index = 0;
    while index < N {
        set |= 1 << classes[index];
        index += 1;
    }
    set
}

const LOWER: u32 = set([VOWEL, CONSONANT]);
const LETTER: u32 = LOWER | set([UPPER]);
/// What a word can begin after.
const BREAK: u32 = set([SPACE, NEWLINE, DIGIT, PUNCT]);

/// (classes before, classes of this byte, cost); a later row wins. What `npm run fit` in bench/estimator
/// prints; where the corpus has next to no such pair the cost is a guess, marked so.
#[rustfmt::skip]
const COSTS: [(u32, u32, u16); 73] = {
    const fn one(class: u8) -> u32 { 1 << class }
    [
        (u32::MAX,       u32::MAX,          512), // a guess
        (u32::MAX,       one(CONT),           0),
        // Words of ASCII letters.
        (one(SPACE),     LOWER,             554),
        (one(NEWLINE),   LOWER,             897),
        (one(DIGIT),     LOWER,             790),
        (one(PUNCT),     LOWER,             641),
        (one(UPPER),     LOWER,             349),
        (one(CONT),      LOWER,             321),
        (one(SPACE),     one(UPPER),        911),
        (one(NEWLINE),   one(UPPER),        989),
        (one(DIGIT),     one(UPPER),        520),
        (one(PUNCT),     one(UPPER),        457),
        (one(UPPER),     one(UPPER),        665),
        (one(CONT),      one(UPPER),        535),
        (LOWER,          one(UPPER),        226),
        (one(CONSONANT), one(CONSONANT),     74),
        (one(CONSONANT), one(VOWEL),        119),
        (one(VOWEL),     one(CONSONANT),    106),
        (one(VOWEL),     one(VOWEL),        439),
        // Digits.
        (one(SPACE),     one(DIGIT),        807),
        (one(NEWLINE),   one(DIGIT),        972), // a guess: as after punctuation
        (one(PUNCT),     one(DIGIT),        971),
        (one(DIGIT),     one(DIGIT),        633),
        (LOWER,          one(DIGIT),        717),
        (one(UPPER),     one(DIGIT),        513),
        (one(CONT),      one(DIGIT),        532),
        // Punctuation.
        (one(SPACE),     one(PUNCT),        716),
        (one(NEWLINE),   one(PUNCT),        824),
        (one(DIGIT),     one(PUNCT),        813),
        (LOWER,          one(PUNCT),        339),
        (one(UPPER),     one(PUNCT),        717),
        (one(CONT),      one(PUNCT),        225),
        (one(PUNCT),     one(PUNCT),        308),
        // Spaces and line ends.
        (one(SPACE),     one(SPACE),        130),
        (one(NEWLINE),   one(SPACE),        265),
        (one(DIGIT),     one(SPACE),        472),
        (one(PUNCT),     one(SPACE),        670),
        (LOWER,          one(SPACE),        109),
        (one(UPPER),     one(SPACE),          0),
        (one(CONT),      one(SPACE),         94),
        (one(SPACE),     one(NEWLINE),      403), // a guess: as after other scripts
        (one(NEWLINE),   one(NEWLINE),        0),
        (one(DIGIT),     one(NEWLINE),      518),
        (one(PUNCT),     one(NEWLINE),        6),
        (LOWER,          one(NEWLINE),      614),
        (one(CONT),      one(NEWLINE),      402),
        // Accents: at the start of a word, after a letter, after another such character.
        (BREAK,          one(LATIN),        765),
        (LETTER,         one(LATIN),        519),
        (one(CONT),      one(LATIN),        410),
        (BREAK,          one(E1),           479),
        (LETTER,         one(E1),           262),
        (one(CONT),      one(E1),            56),
        // Other scripts: at the start of a word, and inside one.
        (BREAK | LETTER, one(GREEK),        437),
        (one(CONT),      one(GREEK),        408),
        (BREAK | LETTER, one(CYRILLIC),     549),
        (one(CONT),      one(CYRILLIC),     265),
        (BREAK | LETTER, one(HEBREW),       593),
        (one(CONT),      one(HEBREW),       392),
        (BREAK | LETTER, one(ARABIC),       479),
        (one(CONT),      one(ARABIC),       352),
        (BREAK | LETTER, one(INDIC),         32),
        (one(CONT),      one(INDIC),        497),
        (BREAK | LETTER, one(HAN),          842),
        (one(CONT),      one(HAN),          883),
        (BREAK | LETTER, one(HANGUL),       763),
        (one(CONT),      one(HANGUL),       927),
        (BREAK,          one(SIGN),         552),
        (one(CONT),      one(SIGN),         359),
        (BREAK,          one(LATIN_SIGN),   629),
        (one(CONT),      one(LATIN_SIGN),   334),
        (one(CONT),      one(KANA),         751),
        (one(CONT),      one(WIDE),         241),
        (u32::MAX,       one(EMOJI),       1024), // a guess: the corpus has few
    ]
};

/// By class before, then class.
#[allow(clippy::indexing_slicing)] // as above
const COST: [u16; CLASSES * CLASSES] = {
    let mut table = [0; CLASSES * CLASSES];
    let mut row = 0;
    while row < COSTS.len() {
        let (before, after, cost) = COSTS[row];
        let mut pair = 0;
        while pair < CLASSES * CLASSES {
            if before >> (pair / CLASSES) & 1 == 1 && after >> (pair % CLASSES) & 1 == 1 {
                table[pair] = cost;
            }
            pair += 1;
        }
        row += 1;
    }
    table
};

/// The cost of a text as its bytes come.
pub(super) struct Text {
    before: u8,
    /// In parts of a [`TOKEN`].
    pub(super) cost: u64,
}

impl Text {
    pub(super) fn new() -> Self {
        // A text begins as a line does.
        Text { before: NEWLINE, cost: 0 }
    }

    /// Takes bytes up to a quote or backslash, and says how many.
    #[inline]
    pub(super) fn run(&mut self, bytes: &[u8]) -> usize {
        let (mut before, mut cost, mut taken) = (self.before, 0, 0);
        for chunk in bytes.chunks_exact(4) {
            let &[a, b, c, d] = chunk else { break };
            let (a, b, c, d) = (class(a), class(b), class(c), class(d));
            if (a | b | c | d) & STOP != 0 {
                break;
            }
            cost += pair(before, a) + pair(a, b) + pair(b, c) + pair(c, d);
            before = d;
            taken += 4;
        }
        for byte in bytes.get(taken..).unwrap_or_default() {
            let class = class(*byte);
            if class == STOP {
                break;
            }
            cost += pair(before, class);
            before = class;
            taken += 1;
        }
        self.before = before;
        self.cost += cost;
        taken
    }

    /// Takes one byte, whatever it is: a quote or backslash that was escaped is punctuation.
    pub(super) fn byte(&mut self, byte: u8) {
        let class = match class(byte) {
            STOP => PUNCT,
            class => class,
        };
        self.cost += pair(self.before, class);
        self.before = class;
    }
}

#[inline]
fn class(byte: u8) -> u8 {
    CLASS.get(usize::from(byte)).copied().unwrap_or(PUNCT)
}

#[inline]
fn pair(before: u8, class: u8) -> u64 {
    let index = (usize::from(before) * CLASSES + usize::from(class)) % (CLASSES * CLASSES);
    COST.get(index).copied().map_or(0, u64::from)
}
