//! Embeddings, whatever the wire format: vectors are made from the words of the input, so that texts with words
//! in common are near each other.

use serde_json::Value;

use super::{
    rng::{Rng, mix},
    text,
};

/// Dimensions that each word of a text moves.
const PER_WORD: usize = 24;

/// What is to be embedded.
pub(crate) enum Input<'a> {
    Text(&'a str),
    Tokens(&'a [Value]),
}

impl Input<'_> {
    /// What it counts.
    pub(crate) fn tokens(&self) -> usize {
        match self {
            Input::Text(text) => text::prompt_tokens(text.len(), 0) - 2,
            Input::Tokens(tokens) => tokens.len(),
        }
    }
}

/// A unit vector: each word moves a few dimensions chosen by its hash, over a faint noise from the whole.
pub(crate) fn embed(input: &Input<'_>, dimensions: usize) -> Vec<f32> {
    let mut vector = vec![0f32; dimensions];
    let mut whole = 0u64;
    let mut word = |hash: u64| {
        whole = whole.wrapping_add(mix(hash));
        let rng = Rng::new(hash);
        for _ in 0..PER_WORD {
            let bits = rng.bits();
            if let Some(x) = vector.get_mut((bits >> 1) as usize % dimensions) {
                *x += if bits & 1 == 0 { 1.0 } else { -1.0 };
            }
        }
    };
    match input {
        Input::Text(text) => text
            .split(|c: char| !c.is_alphanumeric())
            .filter(|part| !part.is_empty())
            .for_each(|part| word(hash(part))),
        Input::Tokens(tokens) => {
            tokens.iter().filter_map(Value::as_u64).for_each(|token| word(token.wrapping_add(1)));
        }
    }
    let noise = Rng::new(whole);
    for x in &mut vector {
        *x += 0.02 * (noise.unit() as f32 - 0.5);
    }
    let length = vector.iter().map(|x| x * x).sum::<f32>().sqrt();
    if length > 0.0 {
        vector.iter_mut().for_each(|x| *x /= length);
    }
    vector
}

/// A vector in small numbers, by the name of their type: its scale rarely overflows; the binary ones take signs, eight
/// in a number.
pub(crate) fn quantized(vector: &[f32], kind: &str) -> Option<Vec<i64>> {
    let scaled = |x: f32| (f64::from(x) * 512.0).clamp(-128.0, 127.0) as i64;
    let bits = |group: &[f32]| group.iter().fold(0i64, |bits, x| bits << 1 | i64::from(*x > 0.0));
    Some(match kind {
        "int8" => vector.iter().map(|x| scaled(*x)).collect(),
        "uint8" => vector.iter().map(|x| scaled(*x) + 128).collect(),
        "ubinary" => vector.chunks(8).map(bits).collect(),
        "binary" => vector.chunks(8).map(|group| bits(group) - 128).collect(),
        _ => return None,
    })
}

/// The documents nearest to the query, the nearest first, `top` of them at most: their places, and from 0 to 1 how
/// near they are.
pub(crate) fn rank(query: &str, documents: &[&str], top: Option<i64>) -> Vec<(usize, f32)> {
    const DIMENSIONS: usize = 1024;
    let asked = embed(&Input::Text(query), DIMENSIONS);
    let near = |text: &&str| -> f32 {
        let other = embed(&Input::Text(text), DIMENSIONS);
        asked.iter().zip(other).map(|(x, y)| x * y).sum::<f32>().clamp(0.0, 1.0)
    };
    let mut scores: Vec<(usize, f32)> = documents.iter().map(near).enumerate().collect();
    scores.sort_by(|(_, a), (_, b)| b.total_cmp(a));
    scores.truncate(top.and_then(|n| usize::try_from(n).ok()).unwrap_or(usize::MAX));
    scores
}

fn hash(word: &str) -> u64 {
    word.chars()
        .flat_map(char::to_lowercase)
        .fold(0xcbf2_9ce4_8422_2325, |hash, c| (hash ^ u64::from(c)).wrapping_mul(0x0100_0000_01b3))
}

/// Appends base64 (RFC 4648 §4).
pub(crate) fn base64_encode(out: &mut Vec<u8>, bytes: &[u8]) {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    for group in bytes.chunks(3) {
        let bits =
            group.iter().fold(0u32, |bits, &byte| bits << 8 | u32::from(byte)) << (8 * (3 - group.len()));
        for at in 0..4 {
            let digit = (bits >> (18 - 6 * at) & 63) as usize;
            out.push(if at <= group.len() { ALPHABET.get(digit).copied().unwrap_or(b'A') } else { b'=' });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64_follows_the_rfc() {
        for (plain, text) in [
            ("", ""),
            ("f", "Zg=="),
            ("fo", "Zm8="),
            ("foo", "Zm9v"),
            ("foob", "Zm9vYg=="),
            ("foobar", "Zm9vYmFy"),
        ] {
            let mut out = Vec::new();
            base64_encode(&mut out, plain.as_bytes());
            assert_eq!(out, text.as_bytes());
        }
    }

    #[test]
    fn texts_with_words_in_common_are_near() {
        let embed = |text: &str| embed(&Input::Text(text), 1536);
        let near = |a: &str, b: &str| -> f32 { embed(a).iter().zip(embed(b)).map(|(x, y)| x * y).sum() };
        assert!(
            (near("What is the capital of France?", "What is the capital of France?") - 1.0).abs() < 1e-3
        );
        assert!(near("What is the capital of France?", "what's the capital of france") > 0.7);
        assert!(near("What is the capital of France?", "Write a poem on rust").abs() < 0.4);
    }
}
