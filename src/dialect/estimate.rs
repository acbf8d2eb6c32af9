//! placeholder
pub struct Estimate {
    pub expected: u64,
    pub upper: u64,
}
pub fn prompt_tokens(body: &[u8]) -> Estimate {
    Estimate { expected: body.len() as u64 / 4 + 3, upper: body.len() as u64 + 16 }
}
