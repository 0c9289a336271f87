//! Lines for a shell to read.

/// Adds a line which sets a variable of the environment.
pub(super) fn export(script: &mut Vec<u8>, name: &str, value: &[u8]) {
    script.extend_from_slice(b"export ");
    script.extend_from_slice(name.as_bytes());
    script.push(b'=');
    script.append(&mut quoted(value));
    script.push(b'\n');
}

/// One word for a shell, whatever is in it.
pub(super) fn quoted(value: &[u8]) -> Vec<u8> {
    let mut word = vec![b'\''];
    for byte in value {
        match byte {
            b'\'' => word.extend_from_slice(br#"'"'"'"#),
            other => word.push(*other),
        }
    }
    word.push(b'\'');
    word
}
