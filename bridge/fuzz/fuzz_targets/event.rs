//! Whatever Lambda hands over as an event and as its client context.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| mcplambda_bridge::fuzzing::event(data));
