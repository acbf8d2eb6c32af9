#![no_main]

use coo_llm_fuzz::inbound;

libfuzzer_sys::fuzz_target!(|data: &[u8]| inbound::path(data));
