//! Whether text is JSON (RFC 8259). Nothing is built of it, and no depth overflows.

/// How a text reads as JSON.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Json {
    /// One object or array, or the beginning of one that the read cut.
    Nested,
    /// One string, number, `true`, `false` or `null`.
    Scalar,
    /// Neither.
    No,
}

/// Reads one value. `whole`: the text is not cut.
pub fn read(text: &[u8], whole: bool) -> Json {
    let mut reader = Reader { text, at: 0 };
    let nested = matches!(reader.peek(), Some(b'{' | b'['));
    let kind = if nested { Json::Nested } else { Json::Scalar };
    match reader.value() {
        Ok(()) if reader.peek().is_none() => kind,
        Err(Stop::End) if !whole => kind,
        _ => Json::No,
    }
}

enum Stop {
    /// The text ended.
    End,
    /// It is no JSON.
    Bad,
}

struct Reader<'a> {
    text: &'a [u8],
    at: usize,
}

impl Reader<'_> {
    /// The next byte behind blanks.
    fn peek(&mut self) -> Option<u8> {
        while let Some(b' ' | b'\t' | b'\n' | b'\r') = self.text.get(self.at) {
            self.at += 1;
        }
        self.text.get(self.at).copied()
    }

    fn next(&mut self) -> Result<u8, Stop> {
        let byte = self.peek().ok_or(Stop::End)?;
        self.at += 1;
        Ok(byte)
    }

    fn value(&mut self) -> Result<(), Stop> {
        // One bit for each open bracket: whether it is an object's.
        let mut open: Vec<bool> = Vec::new();
        loop {
            match self.next()? {
                b'{' => {
                    open.push(true);
                    if self.peek() == Some(b'}') {
                        // An empty object: it closes below.
                    } else {
                        self.key()?;
                        continue;
                    }
                }
                b'[' => {
                    open.push(false);
                    if self.peek() != Some(b']') {
                        continue;
                    }
                }
                b'"' => self.string()?,
                byte => {
                    self.at -= 1;
                    self.word(byte)?;
                }
            }
            // A value ended; so may what it lies in.
            loop {
                let Some(object) = open.last().copied() else {
                    return Ok(());
                };
                match (self.next()?, object) {
                    (b'}', true) | (b']', false) => {
                        open.pop();
                    }
                    (b',', true) => {
                        self.key()?;
                        break;
                    }
                    (b',', false) => break,
                    _ => return Err(Stop::Bad),
                }
            }
        }
    }

    fn key(&mut self) -> Result<(), Stop> {
        if self.next()? != b'"' {
            return Err(Stop::Bad);
        }
        self.string()?;
        if self.next()? == b':' {
            Ok(())
        } else {
            Err(Stop::Bad)
        }
    }

    /// Behind the closing quote.
    fn string(&mut self) -> Result<(), Stop> {
        loop {
            let rest = self.text.get(self.at..).unwrap_or_default();
            let len = rest
                .iter()
                .position(|byte| matches!(byte, b'"' | b'\\' | 0..0x20))
                .ok_or(Stop::End)?;
            self.at += len + 1;
            match rest[len] {
                b'"' => return Ok(()),
                b'\\' => match rest.get(len + 1).ok_or(Stop::End)? {
                    b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't' | b'u' => self.at += 1,
                    _ => return Err(Stop::Bad),
                },
                _ => return Err(Stop::Bad),
            }
        }
    }

    /// A number or one of the words; also those that scripts write for numbers that are none.
    fn word(&mut self, first: u8) -> Result<(), Stop> {
        let rest = &self.text[self.at..];
        let len = rest
            .iter()
            .position(|byte| !(byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'-' | b'.')))
            .unwrap_or(rest.len());
        let word = &rest[..len];
        self.at += len;
        let ends = len == rest.len();
        let words = [
            &b"true"[..],
            b"false",
            b"null",
            b"NaN",
            b"Infinity",
            b"-Infinity",
        ];
        if words.contains(&word) || (first == b'-' || first.is_ascii_digit()) && is_number(word) {
            Ok(())
        } else if ends && !word.is_empty() && word.len() < 24 {
            Err(Stop::End)
        } else {
            Err(Stop::Bad)
        }
    }
}

fn is_number(word: &[u8]) -> bool {
    let digits = |text: &[u8]| !text.is_empty() && text.iter().all(u8::is_ascii_digit);
    let word = word.strip_prefix(b"-").unwrap_or(word);
    let at = word.iter().position(|byte| matches!(byte, b'e' | b'E'));
    let (mantissa, exponent) = at.map_or((word, None), |at| (&word[..at], Some(&word[at + 1..])));
    let exponent = exponent.is_none_or(|text| {
        digits(
            text.strip_prefix(b"-")
                .or(text.strip_prefix(b"+"))
                .unwrap_or(text),
        )
    });
    let point = mantissa.iter().position(|byte| *byte == b'.');
    let (whole, part) = point.map_or((mantissa, None), |at| {
        (&mantissa[..at], Some(&mantissa[at + 1..]))
    });
    let plain = digits(whole) && (whole.len() == 1 || whole[0] != b'0');
    plain && part.is_none_or(digits) && exponent
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_is_told_from_text_that_looks_like_it() {
        for (text, whole, kind) in [
            (
                r#" {"a":[1,-2.5e3,"\"]",true,null,{}],"b":[]} "#,
                true,
                Json::Nested,
            ),
            ("[]", true, Json::Nested),
            (r#""text""#, true, Json::Scalar),
            ("-0.5", true, Json::Scalar),
            ("", true, Json::No),
            ("[1,2", true, Json::No),
            ("[1,2", false, Json::Nested),
            (r#"{"a":"b\"#, false, Json::Nested),
            (r#"{"a":tr"#, false, Json::Nested),
            ("{\"a\":1}\n{\"a\":2}", true, Json::No),
            ("{\"a\":1}\n{\"a\":2", false, Json::No),
            ("[section]\nkey=1", false, Json::No),
            ("[1}", true, Json::No),
            ("{1}", true, Json::No),
            ("[1,]", true, Json::No),
            ("[01]", true, Json::No),
            ("12,13", true, Json::No),
            ("true story", true, Json::No),
        ] {
            assert_eq!(read(text.as_bytes(), whole), kind, "{text}");
        }
        let deep = "[".repeat(60_000);
        assert_eq!(read(deep.as_bytes(), true), Json::No);
        assert_eq!(
            read((deep + &"]".repeat(60_000)).as_bytes(), true),
            Json::Nested
        );
    }
}
