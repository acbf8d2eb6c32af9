#![no_main]

use coo_llm_fuzz::{Endpoint, inbound};

libfuzzer_sys::fuzz_target!(|data: &[u8]| inbound::request(Endpoint::GenerateContent, data));
