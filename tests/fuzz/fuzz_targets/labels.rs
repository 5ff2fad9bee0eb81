//! Lists of class names: read, or refused; a list that is written as JSON is read as it was.

#![no_main]

use libfuzzer_sys::fuzz_target;
use models::Labels;

fuzz_target!(|text: &str| {
    for labels in [Labels::parse(text).ok(), Labels::parse_metadata(text)].into_iter().flatten() {
        let json = serde_json::to_string(&labels).expect("text makes JSON");
        assert_eq!(Labels::parse_metadata(&json), Some(labels), "{json}");
    }
});
