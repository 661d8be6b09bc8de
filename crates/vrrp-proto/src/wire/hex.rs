//! Bytes as hexadecimal text in recordings.

use std::borrow::Cow;
use std::fmt::Write as _;

use serde::{Deserialize, Deserializer, Serializer, de};

pub(crate) fn serialize<S: Serializer>(bytes: &[u8], serializer: S) -> Result<S::Ok, S::Error> {
    let mut text = String::with_capacity(bytes.len() * 2);
    for byte in bytes {
        let _ = write!(text, "{byte:02x}"); // a String takes everything
    }
    serializer.serialize_str(&text)
}

pub(crate) fn deserialize<'de, 'a, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Cow<'a, [u8]>, D::Error> {
    let text = String::deserialize(deserializer)?;
    parse(&text)
        .map(Cow::Owned)
        .ok_or_else(|| de::Error::custom("not an even number of hexadecimal digits"))
}

fn parse(text: &str) -> Option<Vec<u8>> {
    let digit = |byte: u8| {
        char::from(byte)
            .to_digit(16)
            .and_then(|it| u8::try_from(it).ok())
    };
    let (pairs, rest) = text.as_bytes().as_chunks::<2>();
    let bytes = pairs
        .iter()
        .map(|&[high, low]| Some(digit(high)? << 4 | digit(low)?));
    rest.is_empty().then(|| bytes.collect())?
}

#[cfg(test)]
mod tests {
    use super::parse;

    #[test]
    fn reads_pairs_of_digits_only() {
        assert_eq!(parse("00ffA1"), Some(vec![0x00, 0xff, 0xa1]));
        assert_eq!(parse(""), Some(Vec::new()));
        for bad in ["0", "0g", "+1", "é"] {
            assert_eq!(parse(bad), None, "{bad}");
        }
    }
}
