#![no_main]

use coo_llm_fuzz::outbound;

libfuzzer_sys::fuzz_target!(|data: &[u8]| outbound::frames(data));
