use s3s::dto::ETag;

use super::*;

fn tag(value: &str) -> ETagCondition {
    ETagCondition::ETag(ETag::Strong(value.into()))
}

#[test]
fn conditions_are_judged_against_what_is_there() {
    let any = Some(ETagCondition::Any);
    let cases = [
        (None, None, None, None),
        (None, None, Some("a"), None),
        (Some(tag("a")), None, Some("a"), None),
        (Some(tag("a")), None, Some("b"), Some("PreconditionFailed")),
        (Some(tag("a")), None, None, Some("NoSuchKey")),
        (None, any.clone(), None, None),
        (None, any, Some("a"), Some("PreconditionFailed")),
        (None, Some(tag("a")), Some("b"), None),
    ];
    for (if_match, if_none_match, etag, expected) in cases {
        let conditions = Conditions {
            if_match,
            if_none_match,
        };
        let refused = conditions.allow(etag).err();
        let code = refused.as_ref().map(|error| error.code().as_str());
        assert_eq!(code, expected, "{conditions:?} of {etag:?}");
    }
}

fn keys(list: &[&str]) -> BTreeMap<String, Arc<Object>> {
    let record = |key: &str| Object {
        bucket: "b".into(),
        key: key.into(),
        size: 0,
        etag: String::new(),
        modified: Timestamp::default(),
        headers: Headers::default(),
        sums: Sums::default(),
        pieces: Vec::new(),
        upload: None,
    };
    let named = list
        .iter()
        .map(|name| ((*name).to_owned(), Arc::new(record(name))));
    named.collect()
}

#[test]
fn pages_follow_each_other_without_gaps_or_repeats() {
    let objects = keys(&["a", "d/1", "d/2", "d/e/3", "z"]);
    let mut listed = Vec::new();
    let mut after = String::new();
    loop {
        let page = page(&objects, "", "/", &after, 1);
        listed.extend(page.objects.iter().map(|object| object.key.clone()));
        listed.extend(page.prefixes);
        match page.next {
            Some(next) => after = next,
            None => break,
        }
    }
    assert_eq!(listed, ["a", "d/", "z"]);
    let rest = page(&objects, "d/", "", "d/1", 10);
    let rest: Vec<&str> = rest
        .objects
        .iter()
        .map(|object| object.key.as_str())
        .collect();
    assert_eq!(rest, ["d/2", "d/e/3"]);
    assert!(page(&objects, "", "", "", 0).next.is_none());
}
