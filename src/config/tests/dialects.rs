//! What a slot may say of dialects.

use super::{Dir, with, words};
use crate::domain::dialect::Dialect;
use crate::domain::name::SlotName;
use crate::domain::slot::FormAnswer;

#[test]
fn a_slot_speaks_the_dialects_it_lists_and_no_other() {
    let dir = Dir::new("dialects");
    for (text, spoken) in [
        ("public = true", vec![]),
        ("dialects = [\"uppy\"]", vec![Dialect::Uppy]),
        (
            "dialects = [\"jsonform\", \"form\", \"uppy\"]",
            vec![Dialect::JsonForm, Dialect::Form, Dialect::Uppy],
        ),
    ] {
        let config = dir.read(&with(&[("slots.a", text)])).unwrap();
        let slot = &config.slots[&SlotName::parse("a").unwrap()];
        assert_eq!(slot.policy.dialects, spoken, "{text}");
    }
}

#[test]
fn a_dialect_nobody_knows_is_a_mistake_at_its_place() {
    let dir = Dir::new("no-dialect");
    let text = with(&[("slots.a", "dialects = [\"uppy\", \"Form\"]")]);
    let mistakes = dir.mistakes(&text, &[]);
    let what = "slots.a.dialects = \"Form\": no dialect is called that. Write some of \"uppy\", \"form\", \"jsonform\".";
    assert_eq!(words(&mistakes), [what]);
    let line = text
        .lines()
        .position(|line| line.starts_with("dialects"))
        .unwrap()
        + 1;
    assert!(mistakes[0].contains(&format!(":{line}:21")), "{mistakes:?}");
}

#[test]
fn a_form_is_answered_in_the_words_that_its_slot_names() {
    let dir = Dir::new("form-answer");
    for (text, answer) in [
        ("dialects = [\"form\"]", FormAnswer::Files),
        ("form_answer = \"files\"", FormAnswer::Files),
        ("form_answer = \"is_valid\"", FormAnswer::IsValid),
        ("form_answer = \"success\"", FormAnswer::Success),
    ] {
        let config = dir.read(&with(&[("slots.a", text)])).unwrap();
        let slot = &config.slots[&SlotName::parse("a").unwrap()];
        assert_eq!(slot.policy.form_answer, answer, "{text}");
    }
    let unknown = with(&[("slots.a", "form_answer = \"json\"")]);
    assert_eq!(dir.mistakes(&unknown, &[]).len(), 1);
}
