//! Whatever a server writes, in whatever pieces its pipe hands it over.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| mcplambda_bridge::fuzzing::lines(data));
