//! `Content-Disposition` for names that strangers chose (RFC 6266, RFC 8187).

use std::fmt::Write;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use super::slot::Disposition;

/// The longest name kept, in bytes: what file systems take.
const LONGEST: usize = 255;
/// What a file is called whose name holds nothing usable.
const NAMELESS: &str = "file";

/// All but RFC 8187's `attr-char`, less a few that old parsers stumble over.
const EXT_VALUE: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');

/// A name that is harmless on any screen and file system, as near to the given one as that
/// allows: the last path segment, without control, bidirectional and invisible characters,
/// reserved punctuation replaced, not a device's name, at most 255 bytes, never empty.
///
/// Cleaning a clean name changes nothing.
pub fn clean_name(name: &str) -> String {
    let segment = name
        .rsplit(['/', '\\'])
        .find(|segment| !trimmed(segment).is_empty())
        .unwrap_or_default();
    let text: String = segment
        .chars()
        .filter(|c| !is_invisible(*c))
        .map(|c| match c {
            '"' | '<' | '>' | '|' | '*' | '?' | ':' => '_',
            c if c.is_whitespace() => ' ',
            c => c,
        })
        .collect();
    let text = trimmed(&text);
    if text.is_empty() {
        return NAMELESS.to_owned();
    }
    let text = if is_device(text) {
        format!("_{text}")
    } else {
        text.to_owned()
    };
    shortened(&text)
}

/// The header's value: a name in ASCII for everybody and, where that is not the whole truth,
/// the name in UTF-8 for those who read RFC 8187.
///
/// `content_disposition(Attachment, "é.png")` is
/// `attachment; filename="_.png"; filename*=UTF-8''%C3%A9.png`.
pub fn content_disposition(disposition: Disposition, name: &str) -> String {
    let name = clean_name(name);
    let kind = match disposition {
        Disposition::Attachment => "attachment",
        Disposition::Inline => "inline",
    };
    // A percent sign is replaced too: some browsers decode it in the plain form.
    let ascii: String = name
        .chars()
        .map(|c| if c.is_ascii() && c != '%' { c } else { '_' })
        .collect();
    let mut value = format!("{kind}; filename=\"{ascii}\"");
    if ascii != name {
        // Writing to a String cannot fail.
        let _ = write!(
            value,
            "; filename*=UTF-8''{}",
            utf8_percent_encode(&name, EXT_VALUE)
        );
    }
    value
}

/// Characters that show nothing, or make text show what it is not.
fn is_invisible(c: char) -> bool {
    (c.is_control() && !matches!(c, '\t'))
        || matches!(
            c,
            '\u{00ad}'
                | '\u{034f}'
                | '\u{061c}'
                | '\u{115f}'..='\u{1160}'
                | '\u{17b4}'..='\u{17b5}'
                | '\u{180b}'..='\u{180f}'
                | '\u{200b}'..='\u{200f}'
                | '\u{2028}'..='\u{202e}'
                | '\u{2060}'..='\u{206f}'
                | '\u{3164}'
                | '\u{feff}'
                | '\u{ffa0}'
                | '\u{fff0}'..='\u{fffb}'
                | '\u{e0000}'..='\u{e0fff}'
        )
}

/// Without spaces at the ends and dots after it; a leading dot would hide the file.
fn trimmed(text: &str) -> &str {
    text.trim_matches(|c: char| c == '.' || c.is_whitespace() || is_invisible(c))
}

/// Whether Windows would open a device instead: `CON`, `nul.txt`, `COM1.tar.gz`.
fn is_device(name: &str) -> bool {
    let stem = name
        .split('.')
        .next()
        .unwrap_or_default()
        .trim_end()
        .to_ascii_uppercase();
    let numbered = |device: &str| {
        stem.strip_prefix(device).is_some_and(|rest| {
            matches!(
                rest,
                "0" | "1" | "2" | "3" | "4" | "5" | "6" | "7" | "8" | "9" | "¹" | "²" | "³"
            )
        })
    };
    matches!(
        stem.as_str(),
        "CON" | "PRN" | "AUX" | "NUL" | "CONIN$" | "CONOUT$" | "CLOCK$"
    ) || numbered("COM")
        || numbered("LPT")
}

/// At most [`LONGEST`] bytes, cut between characters, before the extension when it is short.
fn shortened(name: &str) -> String {
    if name.len() <= LONGEST {
        return name.to_owned();
    }
    let extension = name
        .rfind('.')
        .map(|dot| &name[dot..])
        .filter(|extension| extension.len() <= 16)
        .unwrap_or_default();
    let mut end = LONGEST - extension.len();
    while !name.is_char_boundary(end) {
        end -= 1;
    }
    format!("{}{extension}", trimmed(&name[..end]))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn hostile_names_become_harmless() {
        let table = [
            // as they are
            ("photo.png", "photo.png"),
            ("Café ☕.jpg", "Café ☕.jpg"),
            ("日本語.pdf", "日本語.pdf"),
            ("👩🏽.png", "👩🏽.png"),
            ("a.tar.gz", "a.tar.gz"),
            ("100% sure.txt", "100% sure.txt"),
            ("it's (1); ok=yes, & so.txt", "it's (1); ok=yes, & so.txt"),
            // nothing usable
            ("", "file"),
            (".", "file"),
            ("..", "file"),
            ("   ", "file"),
            ("/", "file"),
            ("\0", "file"),
            ("\u{202e}\u{200b}", "file"),
            // paths
            ("../../etc/passwd", "passwd"),
            ("C:\\Users\\me\\a.png", "a.png"),
            ("\\\\host\\share\\x.doc", "x.doc"),
            ("dir/", "dir"),
            ("a/..", "a"),
            ("%2e%2e%2fpasswd", "%2e%2e%2fpasswd"),
            // headers
            ("a\r\nSet-Cookie: x=1", "aSet-Cookie_ x=1"),
            ("a\nb.png", "ab.png"),
            ("a\"; filename=\"evil.exe", "a_; filename=_evil.exe"),
            ("a\\\"b.png", "_b.png"),
            ("a\0.png", "a.png"),
            ("\u{7f}\u{85}a.png", "a.png"),
            // what eyes do not see
            ("photo\u{202e}gnp.exe", "photognp.exe"),
            ("\u{2066}a\u{2069}.png", "a.png"),
            ("a\u{200b}b\u{200d}c\u{feff}.png", "abc.png"),
            ("a\u{e0041}.png", "a.png"),
            ("soft\u{ad}hyphen.txt", "softhyphen.txt"),
            // file systems
            ("CON", "_CON"),
            ("nul.txt", "_nul.txt"),
            ("com1.tar.gz", "_com1.tar.gz"),
            ("LPT².doc", "_LPT².doc"),
            ("console.log", "console.log"),
            ("trailing.txt. . ", "trailing.txt"),
            (".htaccess", "htaccess"),
            ("a<b>c|d*e?f:g.txt", "a_b_c_d_e_f_g.txt"),
            (
                "tab\there\u{a0}nbsp\u{3000}wide.txt",
                "tab here nbsp wide.txt",
            ),
        ];
        for (given, clean) in table {
            assert_eq!(clean_name(given), clean, "{given:?}");
        }
    }

    #[test]
    fn a_long_name_keeps_its_extension_and_whole_characters() {
        let name = clean_name(&format!("{}.png", "é".repeat(200)));
        assert!(name.len() <= 255 && name.ends_with("é.png"), "{name}");
        let name = clean_name(&"😀".repeat(100));
        assert!(
            name.len() <= 255 && name.chars().all(|c| c == '😀'),
            "{name}"
        );
        assert_eq!(clean_name(&"x".repeat(255)).len(), 255);
        assert_eq!(clean_name(&format!("a.{}", "b".repeat(400))).len(), 255);
    }

    #[test]
    fn the_header_says_the_name_twice_only_when_ascii_cannot() {
        for (name, value) in [
            ("a b.png", "attachment; filename=\"a b.png\""),
            (
                "é.png",
                "attachment; filename=\"_.png\"; filename*=UTF-8''%C3%A9.png",
            ),
            (
                "5%.txt",
                "attachment; filename=\"5_.txt\"; filename*=UTF-8''5%25.txt",
            ),
            (
                "€ 'x'.txt",
                "attachment; filename=\"_ 'x'.txt\"; filename*=UTF-8''%E2%82%AC%20%27x%27.txt",
            ),
            ("a\r\nb\".png", "attachment; filename=\"ab_.png\""),
            ("", "attachment; filename=\"file\""),
        ] {
            assert_eq!(
                content_disposition(Disposition::Attachment, name),
                value,
                "{name:?}"
            );
        }
        assert!(content_disposition(Disposition::Inline, "a").starts_with("inline; "));
    }

    proptest! {
        #[test]
        fn no_name_breaks_out_of_the_header(name in "\\PC{0,40}|(?s).{0,300}") {
            let value = content_disposition(Disposition::Attachment, &name);
            prop_assert!(value.bytes().all(|b| (0x20..0x7f).contains(&b)), "{value:?}");
            prop_assert_eq!(value.matches('"').count(), 2);
            prop_assert!(!value.contains('\\'));
        }

        #[test]
        fn cleaning_is_idempotent_and_bounded(name in "(?s).{0,300}") {
            let clean = clean_name(&name);
            prop_assert!((1..=255).contains(&clean.len()));
            prop_assert_eq!(clean_name(&clean), clean);
        }
    }
}
