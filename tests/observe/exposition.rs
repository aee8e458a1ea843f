//! `OpenMetrics` 1.0 as text, read strictly: what a scraper may be lenient about is an error here.

use std::collections::{BTreeMap, BTreeSet};

/// A family: its kind, its help, and its samples by name and labels.
#[derive(Debug, Default)]
pub struct Family {
    pub kind: String,
    pub help: String,
    pub unit: Option<String>,
    pub samples: BTreeMap<String, f64>,
}

/// All families by name.
#[derive(Debug, Default)]
pub struct Exposition(pub BTreeMap<String, Family>);

impl Exposition {
    /// Reads a text, or says which line is wrong and why.
    pub fn parse(text: &str) -> Result<Self, String> {
        let body = text.strip_suffix("# EOF\n").ok_or("no # EOF at the end")?;
        let mut found = Self::default();
        let mut current = String::new();
        for line in body.lines() {
            found
                .line(line, &mut current)
                .map_err(|why| format!("{why}: {line}"))?;
        }
        for (name, family) in &found.0 {
            family.check(name)?;
        }
        Ok(found)
    }

    fn line(&mut self, line: &str, current: &mut String) -> Result<(), String> {
        if let Some(meta) = line.strip_prefix("# ") {
            let mut words = meta.splitn(3, ' ');
            let mut next = || words.next().ok_or("a word is missing");
            let (keyword, name, rest) = (next()?, next()?.to_owned(), next()?.to_owned());
            if name != *current {
                if self.0.contains_key(&name) {
                    return Err("a family that was over".into());
                }
                current.clone_from(&name);
            }
            let family = self.0.entry(name).or_default();
            if !family.samples.is_empty() {
                return Err("metadata after samples".into());
            }
            let slot = match keyword {
                "HELP" => &mut family.help,
                "TYPE" => &mut family.kind,
                "UNIT" => family.unit.get_or_insert_default(),
                _ => return Err("an unknown keyword".into()),
            };
            if !std::mem::replace(slot, rest).is_empty() {
                return Err("metadata given twice".into());
            }
            return Ok(());
        }
        let (series, value) = line.rsplit_once(' ').ok_or("no value")?;
        let value: f64 = value.parse().map_err(|_| "the value is no number")?;
        let family = self
            .0
            .get_mut(current)
            .ok_or("a sample without its family")?;
        let name = series.split('{').next().unwrap_or_default();
        if !family
            .suffixes()
            .iter()
            .any(|suffix| name == format!("{current}{suffix}"))
        {
            return Err("a sample of another family".into());
        }
        labels(series)?;
        if family.samples.insert(series.to_owned(), value).is_some() {
            return Err("a sample given twice".into());
        }
        Ok(())
    }

    /// The sum of all samples of that name whose labels contain all of `wanted`.
    pub fn sum(&self, name: &str, wanted: &[&str]) -> f64 {
        let all = self.0.values().flat_map(|family| &family.samples);
        all.filter(|(series, _)| series.split('{').next() == Some(name))
            .filter(|(series, _)| wanted.iter().all(|label| series.contains(label)))
            .map(|(_, value)| value)
            .sum()
    }

    /// The names of all samples.
    pub fn names(&self) -> BTreeSet<&str> {
        let all = self.0.values().flat_map(|family| family.samples.keys());
        all.filter_map(|series| series.split('{').next()).collect()
    }
}

/// The names and values of a series' labels, each name once.
pub fn labels(series: &str) -> Result<BTreeMap<&str, &str>, String> {
    let Some((_, inside)) = series.split_once('{') else {
        return Ok(BTreeMap::new());
    };
    let mut rest = inside.strip_suffix('}').ok_or("labels without an end")?;
    let mut found = BTreeMap::new();
    while !rest.is_empty() {
        let (name, after) = rest.split_once("=\"").ok_or("a label without a value")?;
        let (value, after) = after.split_once('"').ok_or("a value without an end")?;
        let plain = |c: char| c.is_ascii_lowercase() || c == '_';
        if name.is_empty() || !name.chars().all(plain) || found.insert(name, value).is_some() {
            return Err(format!("the label {name}"));
        }
        rest = after.strip_prefix(',').unwrap_or(after);
    }
    Ok(found)
}

impl Family {
    fn suffixes(&self) -> &'static [&'static str] {
        match self.kind.as_str() {
            "counter" => &["_total"],
            "gauge" => &[""],
            "histogram" => &["_bucket", "_sum", "_count"],
            "info" => &["_info"],
            _ => &[],
        }
    }

    fn check(&self, name: &str) -> Result<(), String> {
        let unit = self.unit.as_deref();
        if !name.starts_with("putgate_") || self.help.is_empty() || self.suffixes().is_empty() {
            return Err(format!("{name}: {self:?}"));
        }
        if unit.is_some_and(|unit| !name.ends_with(&format!("_{unit}"))) {
            return Err(format!("{name} does not end with its unit"));
        }
        for unit in ["seconds", "bytes"] {
            if name.ends_with(unit) && self.unit.as_deref() != Some(unit) {
                return Err(format!("{name} does not say its unit"));
            }
        }
        Ok(())
    }
}

#[test]
fn what_is_wrong_is_refused() {
    let good = "# HELP putgate_a A.\n# TYPE putgate_a counter\nputgate_a_total{x=\"1\"} 2\n# EOF\n";
    let sum = Exposition::parse(good)
        .unwrap()
        .sum("putgate_a_total", &["x=\"1\""]);
    assert!((sum - 2.0).abs() < 0.5, "{sum}");
    for (from, to) in [
        ("# EOF\n", ""),
        ("putgate_a_total", "putgate_a"),
        ("# HELP putgate_a A.\n", ""),
        ("counter", "meter"),
        ("} 2\n", "} 2\nputgate_a_total{x=\"1\"} 3\n"),
        ("{x=\"1\"}", "{x=\"1\",x=\"2\"}"),
        (" 2\n", " two\n"),
        ("# TYPE", "# TYPE putgate_a counter\n# TYPE"),
    ] {
        let bad = good.replacen(from, to, 1);
        assert!(Exposition::parse(&bad).is_err(), "{bad}");
    }
}
