//! Forms, times and durations of requests.

#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let form = api::params::Form::parse(bytes);
    let _ = (form.limit(), form.time("t"), form.duration("d"), form.time_range(0, 0));
    let text = String::from_utf8_lossy(bytes);
    let _ = (api::params::parse_time(&text), api::params::parse_duration(&text));
});
