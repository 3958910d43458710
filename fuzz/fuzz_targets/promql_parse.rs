//! Queries: no panic, and what is printed parses again.
#![no_main]

use libfuzzer_sys::fuzz_target;
use promql::features::Features;

fuzz_target!(|text: &str| {
    let features = Features {
        experimental_functions: true,
        extended_range_selectors: true,
        binop_fill_modifiers: true,
        ..Features::default()
    };
    let _ = promql::parse::parse_selector(text);
    let _ = promql::script::parse_series(text);
    if let Ok(expr) = promql::parse::parse(text, &features) {
        let printed = expr.to_string();
        let again = promql::parse::parse(&printed, &features).expect("what is printed parses");
        assert_eq!(again.to_string(), printed);
    }
});
