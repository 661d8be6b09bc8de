//! Numbers and times.

use std::time::Duration;

use crate::ast::Value;
use crate::diagnostic::{Code, Diagnostic};
use crate::keyword::Keyword;
use crate::report::Report;
use crate::tree::Word;

use super::Args;

/// A whole number in a range.
pub(super) fn integer(
    args: &mut Args<'_, '_>,
    keyword: &Keyword,
    min: i64,
    max: i64,
    what: &str,
) -> Option<i64> {
    let word = args.required(what)?;
    let text = args.text(word);
    match parse(text) {
        Parsed::Number(value) => in_range(args, keyword, word, value, (min, max), 1),
        parsed => {
            let diagnostic = not_a_number(args.report, keyword, word, &parsed);
            args.wrong(diagnostic)
        }
    }
}

/// Whole seconds in a range.
pub(super) fn seconds(
    args: &mut Args<'_, '_>,
    keyword: &Keyword,
    min: i64,
    max: i64,
) -> Option<Duration> {
    let word = args.required("a number of seconds")?;
    let text = args.text(word);
    match parse(text) {
        Parsed::Number(value) => {
            let value = in_range(args, keyword, word, value, (min, max), 1)?;
            Some(Duration::from_secs(value.unsigned_abs()))
        }
        parsed => {
            if text.contains('.') && text.parse::<f64>().is_ok() {
                let message = format!("`{text}` is not a whole number of seconds");
                let diagnostic = args.report.error(Code::BadNumber, word.outer(), message);
                return args.wrong(diagnostic.help("only whole seconds are read here"));
            }
            let diagnostic = not_a_time(args.report, keyword, word, &parsed);
            args.wrong(diagnostic)
        }
    }
}

/// Milliseconds with up to three decimals; the range is in microseconds.
pub(super) fn millis(
    args: &mut Args<'_, '_>,
    keyword: &Keyword,
    min: i64,
    max: i64,
) -> Option<Duration> {
    let word = args.required("a number of milliseconds")?;
    match parse_decimal(args.text(word)) {
        Ok((millionths, _)) => {
            let micros = in_range(args, keyword, word, millionths / 1_000, (min, max), 1_000)?;
            Some(Duration::from_micros(micros.unsigned_abs()))
        }
        Err(parsed) => {
            let diagnostic = not_a_number(args.report, keyword, word, &parsed);
            args.wrong(diagnostic)
        }
    }
}

/// Seconds with up to six decimals; the range is in microseconds.
pub(super) fn decimal(
    args: &mut Args<'_, '_>,
    keyword: &Keyword,
    min: i64,
    max: i64,
) -> Option<Duration> {
    let word = args.required("a number of seconds")?;
    let text = args.text(word);
    let (micros, rounded) = match parse_decimal(text) {
        Ok(parsed) => parsed,
        Err(parsed) => {
            let diagnostic = not_a_time(args.report, keyword, word, &parsed);
            return args.wrong(diagnostic);
        }
    };
    if rounded {
        let message = format!("`{text}` has more than six decimals; the rest is rounded");
        let diagnostic = args.report.warning(Code::Rounded, word.outer(), message);
        args.report.push(diagnostic);
    }
    let micros = in_range(args, keyword, word, micros, (min, max), 1_000_000)?;
    Some(Duration::from_micros(micros.unsigned_abs()))
}

/// A number and perhaps `reverse` or `noreverse`.
pub(super) fn weight(
    args: &mut Args<'_, '_>,
    keyword: &Keyword,
    min: i64,
    max: i64,
) -> Option<Value> {
    let weight = integer(args, keyword, min, max, "a whole number")?;
    let mut reverse = false;
    if let Some(word) = args.peek() {
        let text = args.text(word);
        if matches!(text, "reverse" | "noreverse") {
            args.next();
            reverse = text == "reverse";
        }
    }
    Some(Value::Weight { weight, reverse })
}

/// A umask: a number, octal with a leading 0, or names of bits.
pub(super) fn umask(args: &mut Args<'_, '_>) -> Option<i64> {
    const NAMES: &[(&str, i64)] = &[
        ("IRUSR", 0o400),
        ("IWUSR", 0o200),
        ("IXUSR", 0o100),
        ("IRGRP", 0o040),
        ("IWGRP", 0o020),
        ("IXGRP", 0o010),
        ("IROTH", 0o004),
        ("IWOTH", 0o002),
        ("IXOTH", 0o001),
        ("IRWXU", 0o700),
        ("IRWXG", 0o070),
        ("IRWXO", 0o007),
    ];
    let word = args.required("a number or names of bits")?;
    let text = args.text(word);
    let named = |name: &str| {
        let known = NAMES.iter().find(|(known, _)| *known == name.trim());
        known.map(|(_, bits)| *bits)
    };
    let value = match text.strip_prefix('0') {
        Some("") => Some(0),
        Some(octal) => i64::from_str_radix(octal, 8).ok(),
        None => text.parse().ok(),
    };
    let value = value.or_else(|| {
        let mut names = text.split('|');
        names.try_fold(0, |bits, name| Some(bits | named(name)?))
    });
    let value = value.filter(|value| (0..=0o777).contains(value));
    if value.is_none() {
        let message = format!("`{text}` is not a umask");
        let help = "an octal number with a leading 0, at most 0777, or names such as IRWXG|IRWXO";
        let diagnostic = args
            .report
            .error(Code::BadValue, word.outer(), message)
            .help(help);
        args.report.push(diagnostic);
    }
    value
}

/// What a word is, read as a whole number.
pub(crate) enum Parsed<'a> {
    /// One. Too large ones are the largest there is.
    Number(i64),
    /// A number and something behind it.
    Trailing(&'a str, &'a str),
    /// Not a number at all.
    NotANumber,
}

/// Decimal digits with a sign.
pub(super) fn parse(text: &str) -> Parsed<'_> {
    let (digits_start, negative) = match text.as_bytes().first() {
        Some(b'-') => (1, true),
        Some(b'+') => (1, false),
        _ => (0, false),
    };
    let digits = text.get(digits_start..).unwrap_or_default();
    let len = digits
        .bytes()
        .position(|byte| !byte.is_ascii_digit())
        .unwrap_or(digits.len());
    if len == 0 {
        return Parsed::NotANumber;
    }
    let (number, rest) = text.split_at(digits_start + len);
    if !rest.is_empty() {
        return Parsed::Trailing(number, rest);
    }
    let limit = if negative { i64::MIN } else { i64::MAX };
    Parsed::Number(number.parse().unwrap_or(limit))
}

/// Microseconds, and whether decimals were lost.
pub(crate) fn parse_decimal(text: &str) -> Result<(i64, bool), Parsed<'_>> {
    let whole_end = text.find('.').unwrap_or(text.len());
    let (whole, fraction) = text.split_at(whole_end);
    let fraction = fraction.strip_prefix('.').unwrap_or_default();
    let digits = fraction
        .bytes()
        .position(|byte| !byte.is_ascii_digit())
        .unwrap_or(fraction.len());
    let whole = match (parse(whole), whole.is_empty() && digits > 0) {
        (Parsed::Number(value), _) => value,
        (_, true) => 0,
        (parsed, false) => return Err(parsed),
    };
    if digits < fraction.len() {
        let (number, rest) = text.split_at(text.len() - fraction.len() + digits);
        return Err(Parsed::Trailing(number, rest));
    }
    let mut micros: i64 = 0;
    for at in 0..6 {
        let digit = fraction
            .as_bytes()
            .get(at)
            .map_or(0, |digit| i64::from(digit - b'0'));
        micros = micros * 10 + digit;
    }
    let lost = fraction.len() > 6 && fraction.bytes().skip(6).any(|digit| digit != b'0');
    if fraction
        .as_bytes()
        .get(6)
        .is_some_and(|digit| *digit >= b'5')
    {
        micros += 1;
    }
    let sign = if text.starts_with('-') { -1 } else { 1 };
    Ok((
        whole
            .saturating_mul(1_000_000)
            .saturating_add(sign * micros),
        lost,
    ))
}

/// Checks a range; `scale` is how many of the unit make one of what people write.
fn in_range(
    args: &mut Args<'_, '_>,
    keyword: &Keyword,
    word: Word,
    value: i64,
    (min, max): (i64, i64),
    scale: i64,
) -> Option<i64> {
    if (min..=max).contains(&value) {
        return Some(value);
    }
    let text = args.text(word);
    let (low, high) = (show(min, scale), show(max, scale));
    let name = keyword.name;
    // Refused, but the same as the default: nothing is lost.
    if value == 0 && (keyword.default == "0" || keyword.default.starts_with("0 ")) {
        let message = format!("`{text}` is outside {low} to {high}, so the line is ignored");
        let help = format!("`{name}` is off by default; the line can go");
        let diagnostic = args
            .report
            .warning(Code::OutOfRange, word.outer(), message)
            .help(help);
        return args.wrong(diagnostic);
    }
    let message = format!("`{text}` is outside the range of `{name}`, {low} to {high}");
    let diagnostic = args.report.error(Code::OutOfRange, word.outer(), message);
    let diagnostic = diagnostic.help("the line is ignored; the default stays");
    args.wrong(diagnostic)
}

/// A bound as people write it.
fn show(value: i64, scale: i64) -> String {
    let (whole, rest) = (value / scale, value % scale);
    match rest {
        0 => whole.to_string(),
        _ => {
            let digits = format!("{rest:06}");
            format!("{whole}.{}", digits.trim_end_matches('0'))
        }
    }
}

fn not_a_number(
    report: &Report<'_>,
    keyword: &Keyword,
    word: Word,
    parsed: &Parsed<'_>,
) -> Diagnostic {
    let text = report.slice(word.span);
    let message = format!(
        "`{text}` is not a whole number, as `{}` needs it",
        keyword.name
    );
    let diagnostic = report.error(Code::BadNumber, word.outer(), message);
    match parsed {
        Parsed::Trailing(number, _) => diagnostic
            .label(format!("did you mean `{number}`?"))
            .help(format!(
                "keepalived refuses it in a test, but runs with {number}"
            ))
            .suggest(report.place(word.span), *number),
        _ => diagnostic,
    }
}

fn not_a_time(
    report: &Report<'_>,
    keyword: &Keyword,
    word: Word,
    parsed: &Parsed<'_>,
) -> Diagnostic {
    let text = report.slice(word.span);
    let Parsed::Trailing(number, unit) = parsed else {
        let message = format!("`{text}` is not a number of seconds");
        return report.error(Code::BadNumber, word.outer(), message);
    };
    let message = format!("`{text}` is not a number of seconds: no unit may follow");
    let diagnostic = report.error(Code::BadNumber, word.outer(), message);
    let decimal = matches!(keyword.shape, crate::keyword::Shape::Decimal { .. });
    let digits = number.replace('.', "");
    let diagnostic = match decimal {
        true => diagnostic.help(format!(
            "keepalived refuses it in a test, but runs with {digits} microseconds"
        )),
        false => diagnostic.help(format!(
            "keepalived refuses it in a test, but runs with {number}"
        )),
    };
    match in_seconds(number, unit) {
        Some(seconds) => diagnostic
            .label(format!("did you mean `{seconds}`?"))
            .suggest(report.place(word.span), seconds),
        None => diagnostic,
    }
}

/// A time with a unit, in seconds.
fn in_seconds(number: &str, unit: &str) -> Option<String> {
    let scale: i64 = match unit.to_ascii_lowercase().as_str() {
        "us" => 1,
        "ms" => 1_000,
        "s" | "sec" | "secs" | "second" | "seconds" => 1_000_000,
        "m" | "min" | "mins" | "minutes" => 60_000_000,
        "h" | "hour" | "hours" => 3_600_000_000,
        _ => return Some(number.to_owned()).filter(|_| !unit.starts_with('.')),
    };
    let (micros, _) = parse_decimal(number).ok()?;
    Some(show(
        i64::try_from(i128::from(micros) * i128::from(scale) / 1_000_000).ok()?,
        1_000_000,
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decimals_are_exact_to_the_microsecond() {
        let parsed = |text| parse_decimal(text).ok();
        assert_eq!(parsed("1"), Some((1_000_000, false)));
        assert_eq!(parsed("0.5"), Some((500_000, false)));
        assert_eq!(parsed(".25"), Some((250_000, false)));
        assert_eq!(parsed("1.0000005"), Some((1_000_001, true)));
        assert_eq!(parsed("-0.5"), Some((-500_000, false)));
        assert_eq!(parsed("99999999999999999999"), Some((i64::MAX, false)));
        for text in ["5s", "", ".", "x", "1.5s", "-", "1.5.5"] {
            assert!(parsed(text).is_none(), "{text}");
        }
    }

    #[test]
    fn units_become_seconds() {
        assert_eq!(in_seconds("5", "s").as_deref(), Some("5"));
        assert_eq!(in_seconds("500", "ms").as_deref(), Some("0.5"));
        assert_eq!(in_seconds("1.5", "m").as_deref(), Some("90"));
        assert_eq!(in_seconds("10", "x").as_deref(), Some("10"));
    }
}
