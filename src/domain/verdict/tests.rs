use super::media::{Accept, DOCX};
use super::*;
use Confidence::{Signature, Structure, Text};

fn policy(accept: &[&str]) -> Policy {
    Policy {
        accept: Accept::parse(accept).unwrap(),
        ..Policy::default()
    }
}

fn strict(accept: &[&str]) -> Policy {
    Policy {
        strict_match: true,
        ..policy(accept)
    }
}

fn declared<'a>(name: &'a str, media_type: Option<&'a str>) -> Declared<'a> {
    Declared {
        name,
        size: 10,
        media_type,
        sha256: None,
    }
}

fn facts() -> Facts {
    Facts {
        size: 10,
        sha256: None,
    }
}

fn plain() -> Finding {
    Finding::of("text/plain", Text)
}

/// The stored type, or the reason.
fn outcome(
    policy: &Policy,
    name: &str,
    media_type: Option<&str>,
    finding: &Finding,
) -> Result<String, Reason> {
    match judge(policy, &declared(name, media_type), &facts(), finding) {
        Verdict::Accept(accepted) => Ok(accepted.media_type),
        Verdict::Reject(rejection) => Err(rejection.reason),
    }
}

#[test]
fn what_did_not_arrive_as_declared_is_refused_before_its_type_matters() {
    let png = Finding::of("image/png", Structure);
    for (size, wanted, found, reason) in [
        (0, None, None, Some(Reason::Empty)),
        (9, None, None, Some(Reason::SizeMismatch)),
        (
            10,
            Some("AA=="),
            Some("AQ=="),
            Some(Reason::ChecksumMismatch),
        ),
        (10, Some("AA=="), Some("AA=="), None),
        (10, Some("AA=="), None, None),
        (10, None, Some("AA=="), None),
    ] {
        let declared = Declared {
            sha256: wanted,
            ..declared("a.png", None)
        };
        let facts = Facts {
            size,
            sha256: found.map(str::to_owned),
        };
        let reached = match judge(&policy(&[]), &declared, &facts, &png) {
            Verdict::Accept(_) => None,
            Verdict::Reject(rejection) => Some(rejection.reason),
        };
        assert_eq!(reached, reason, "{size} {wanted:?} {found:?}");
    }
}

#[test]
fn the_bytes_decide_and_hints_choose_among_what_bytes_cannot_tell() {
    let jpeg = Finding::of("image/jpeg", Structure);
    let html = Finding::of("text/html", Structure);
    let svg = Finding::of("image/svg+xml", Structure);
    let docx = Finding::of(DOCX, Structure);
    let json = Finding::of("application/json", Structure);
    let scalar = plain().flagged(Flag::JsonScalar, true);
    let silent = Finding::of("video/mp4", Structure).flagged(Flag::NoVideoSeen, true);
    let film = Finding::of("video/mp4", Structure);
    let unknown = Finding::default();
    let broken = Finding::broken("image/png", "no pixels");
    for (accept, name, media_type, finding, wanted) in [
        (
            &["image/*"][..],
            "a.heic",
            Some("image/heic"),
            &jpeg,
            Ok("image/jpeg"),
        ),
        (
            &[".png"],
            "a.png",
            Some("image/png"),
            &jpeg,
            Err(Reason::TypeNotAccepted),
        ),
        (
            &["image/*"],
            "a.png",
            Some("image/png"),
            &html,
            Err(Reason::ActiveContent),
        ),
        (
            &["image/*"],
            "a.svg",
            None,
            &svg,
            Err(Reason::ActiveContent),
        ),
        (
            &["image/*", ".svg"],
            "a.svg",
            None,
            &svg,
            Ok("image/svg+xml"),
        ),
        (
            &[".html"],
            "a.html",
            None,
            &html,
            Err(Reason::ActiveContent),
        ),
        (&[], "a.html", None, &html, Ok("text/html")),
        (&[], "a", None, &unknown, Ok("application/octet-stream")),
        (
            &["image/*"],
            "a.png",
            None,
            &unknown,
            Err(Reason::TypeUnknown),
        ),
        (&[".png"], "a.png", None, &broken, Err(Reason::Malformed)),
        (
            &[".jpg"],
            "a.png",
            None,
            &broken,
            Err(Reason::TypeNotAccepted),
        ),
        (&[], "a.png", None, &broken, Ok("application/octet-stream")),
        (&[".csv", ".txt"], "a.csv", None, &plain(), Ok("text/csv")),
        (
            &[".csv", ".txt"],
            "a",
            Some("text/csv"),
            &plain(),
            Ok("text/csv"),
        ),
        (&[".csv", ".txt"], "a.txt", None, &plain(), Ok("text/plain")),
        (&[".txt"], "a.csv", None, &plain(), Ok("text/csv")),
        (&[".txt"], "a.json", None, &json, Ok("application/json")),
        (&[".txt"], "a.txt", None, &json, Ok("text/plain")),
        (
            &[".json"],
            "a.json",
            None,
            &plain(),
            Err(Reason::TypeNotAccepted),
        ),
        (&[".json"], "a.json", None, &scalar, Ok("application/json")),
        (
            &["text/*"],
            "a.js",
            None,
            &plain(),
            Err(Reason::ActiveContent),
        ),
        (&[".js"], "a.js", None, &plain(), Err(Reason::ActiveContent)),
        (&[], "a.js", None, &plain(), Ok("text/plain")),
        (&[".zip"], "a.zip", None, &docx, Ok("application/zip")),
        (&[".zip"], "a.docx", None, &docx, Ok(DOCX)),
        (&["audio/*"], "a.m4a", None, &silent, Ok("audio/mp4")),
        (
            &["audio/*"],
            "a.m4a",
            None,
            &film,
            Err(Reason::TypeNotAccepted),
        ),
    ] {
        assert_eq!(
            outcome(&policy(accept), name, media_type, finding),
            wanted.map(str::to_owned),
            "{accept:?} {name} {media_type:?} {:?}",
            finding.media_type
        );
    }
}

#[test]
fn a_picture_with_script_inside_is_refused_though_its_type_is_named() {
    let hidden = Finding {
        active: true,
        ..Finding::of("image/png", Structure).flagged(Flag::ScriptInside, true)
    };
    let refused = outcome(&policy(&["image/png"]), "a.png", None, &hidden);
    assert_eq!(refused, Err(Reason::ActiveContent));
}

#[test]
fn in_a_strict_slot_name_type_and_bytes_agree() {
    let jpeg = Finding::of("image/jpeg", Structure);
    for (name, media_type, wanted) in [
        ("a.jpeg", Some("image/jpg"), None),
        ("a.jpg", Some("application/octet-stream"), None),
        ("a", None, None),
        ("a.unheard", None, None),
        ("a.heic", None, Some(Reason::TypeMismatch)),
        ("a.jpg", Some("image/png"), Some(Reason::TypeMismatch)),
    ] {
        let reached = outcome(&strict(&["image/*"]), name, media_type, &jpeg).err();
        assert_eq!(reached, wanted, "{name} {media_type:?}");
    }
    for (name, media_type) in [
        ("a.csv", "text/plain"),
        ("a.csv", "application/vnd.ms-excel"),
    ] {
        let stored = outcome(&strict(&[".csv"]), name, Some(media_type), &plain());
        assert_eq!(stored.as_deref(), Ok("text/csv"), "{media_type}");
    }
}

#[test]
fn an_image_is_held_against_its_slots_bounds() {
    let limits = |width, height, pixels| ImageLimits {
        max_width: width,
        max_height: height,
        max_pixels: pixels,
    };
    let sized = Finding::of("image/png", Structure).sized(100, 50);
    let unsized_ = Finding::of("image/png", Signature);
    let pdf = Finding::of("application/pdf", Structure);
    for (limits, finding, wanted) in [
        (limits(Some(100), Some(50), Some(5000)), &sized, None),
        (
            limits(Some(99), None, None),
            &sized,
            Some(Reason::ImageTooLarge),
        ),
        (
            limits(None, Some(49), None),
            &sized,
            Some(Reason::ImageTooLarge),
        ),
        (
            limits(None, None, Some(4999)),
            &sized,
            Some(Reason::ImageTooLarge),
        ),
        (
            limits(Some(100), None, None),
            &unsized_,
            Some(Reason::Malformed),
        ),
        (limits(None, None, None), &unsized_, None),
        (limits(Some(1), None, None), &pdf, None),
    ] {
        let policy = Policy {
            image: Some(limits),
            ..policy(&[])
        };
        assert_eq!(
            outcome(&policy, "a", None, finding).err(),
            wanted,
            "{limits:?}"
        );
    }
}

#[test]
fn a_wrong_hint_that_is_acceptable_is_a_warning() {
    let jpeg = Finding::of("image/jpeg", Structure).sized(4, 3);
    let verdict = judge(
        &policy(&["image/*"]),
        &declared("a.heic", None),
        &facts(),
        &jpeg,
    );
    let accepted = Accepted {
        media_type: "image/jpeg".to_owned(),
        extension: Some(".jpg".to_owned()),
        width: Some(4),
        height: Some(3),
        warnings: vec!["declared image/heic, stored as image/jpeg".to_owned()],
    };
    assert_eq!(verdict, Verdict::Accept(accepted));
}

#[test]
fn a_rejection_tells_the_client_what_was_declared_and_what_was_found() {
    let html = Finding {
        evidence: Evidence {
            offset: 0,
            bytes: "3c21".to_owned(),
        },
        ..Finding::of("text/html", Structure)
    };
    let declared = declared("a.png", Some("image/PNG"));
    let Verdict::Reject(rejection) = judge(&policy(&[".png"]), &declared, &facts(), &html) else {
        panic!("accepted");
    };
    let problem = serde_json::to_value(rejection.problem()).unwrap();
    assert_eq!(
        problem,
        serde_json::json!({"type": "about:blank", "title": "The content was rejected", "status": 422,
            "code": "content-rejected", "detail": "declared image/png, header bytes say text/html",
            "reason": "active-content", "declared": "image/png", "detected": "text/html",
            "evidence": {"offset": 0, "bytes": "3c21"}})
    );
}

#[test]
fn reasons_read_as_they_are_stored() {
    for reason in [
        Reason::Empty,
        Reason::SizeMismatch,
        Reason::ChecksumMismatch,
        Reason::TypeUnknown,
        Reason::TypeMismatch,
        Reason::TypeNotAccepted,
        Reason::ImageTooLarge,
        Reason::ActiveContent,
        Reason::Malformed,
    ] {
        assert_eq!(serde_json::to_value(reason).unwrap(), reason.as_str());
    }
}

#[test]
fn xml_that_asks_to_be_run_is_not_the_data_that_a_slot_takes() {
    let plain = Finding::of("application/xml", Text);
    let active = Finding {
        active: true,
        ..plain.clone()
    };
    let slot = policy(&[".xml"]);
    assert!(outcome(&slot, "a.xml", None, &plain).is_ok());
    assert_eq!(
        outcome(&slot, "a.xml", None, &active),
        Err(Reason::ActiveContent)
    );
}
