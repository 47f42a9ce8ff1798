//! Pieces of a line: words, numbers, `Key: value kB`.

/// A decimal number, or `None` when any byte is no digit or it passes `u64`.
pub(super) fn number(bytes: &[u8]) -> Option<u64> {
    core::str::from_utf8(bytes)
        .ok()
        .filter(|text| !text.starts_with('+'))?
        .parse()
        .ok()
}

/// A hexadecimal number without prefix.
pub(super) fn hex(bytes: &[u8]) -> Option<u64> {
    let text = core::str::from_utf8(bytes)
        .ok()
        .filter(|text| !text.starts_with('+'))?;
    u64::from_str_radix(text, 16).ok()
}

/// The words of a line.
pub(super) fn words(line: &[u8]) -> impl Iterator<Item = &[u8]> {
    line.split(u8::is_ascii_whitespace)
        .filter(|word| !word.is_empty())
}

/// Splits `Key:  value` and drops the blanks around the value.
pub(super) fn key_value(line: &[u8]) -> Option<(&[u8], &[u8])> {
    let colon = line.iter().position(|&byte| byte == b':')?;
    let (key, rest) = line.split_at(colon);
    Some((key, rest.get(1..)?.trim_ascii()))
}

/// `123 kB` in bytes.
pub(super) fn kilobytes(value: &[u8]) -> Option<u64> {
    let mut words = words(value);
    let count = number(words.next()?)?;
    (words.next() == Some(b"kB")).then_some(())?;
    count.checked_mul(1024)
}

/// `\040` and the like turned back into the bytes they stand for.
pub(super) fn unescaped(word: &[u8]) -> String {
    let mut bytes = Vec::with_capacity(word.len());
    let mut rest = word;
    while let Some((first, after)) = rest.split_first() {
        let escaped = match (first, after.first_chunk::<3>()) {
            (b'\\', Some(digits)) => octal(digits),
            _ => None,
        };
        bytes.push(escaped.unwrap_or(*first));
        rest = escaped.and_then(|_| after.get(3..)).unwrap_or(after);
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

fn octal(digits: &[u8; 3]) -> Option<u8> {
    let text = core::str::from_utf8(digits)
        .ok()
        .filter(|text| !text.starts_with('+'))?;
    u8::from_str_radix(text, 8).ok()
}
