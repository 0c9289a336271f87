//! Any bytes as transfer text and as transfer JSON, both ways.
#![no_main]

use libfuzzer_sys::fuzz_target;
use relay_core::Value;
use relay_core::value::{decode_transfer_text, encode_transfer_text};

fuzz_target!(|bytes: &[u8]| {
    let text = encode_transfer_text(bytes);
    assert_eq!(decode_transfer_text(&text).unwrap(), bytes);

    let value = Value::from_bytes(bytes);
    let read = Value::from_json(&value.to_json()).unwrap().decode_transfer().unwrap();
    assert_eq!(read, value);

    if let Ok(text) = std::str::from_utf8(bytes) {
        let _ = decode_transfer_text(text);
        if let Ok(value) = Value::from_json(text) {
            assert_eq!(Value::from_json(&value.to_json()).unwrap().to_json(), value.to_json());
            let _ = value.decode_transfer();
        }
    }
});
