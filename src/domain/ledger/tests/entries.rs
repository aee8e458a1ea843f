//! Files: claimed, deleted, unclaimed.

use super::*;

fn unclaimed_slot(max_entries: u32) -> World {
    World::of(Policy {
        max_entries,
        unclaimed_ttl: Some(Seconds(3600)),
        ..Policy::default()
    })
}

#[test]
fn a_claim_moves_the_count_from_the_null_ref() {
    let mut w = unclaimed_slot(3);
    let ids = [w.upload(ANN, "", 5), w.upload(ANN, "", 6)];
    assert_eq!(w.claim(ANN, "post:1", &ids), Ok(vec![true, true]));
    assert_eq!(w.used(ANN, ""), Usage::default());
    let there = w.used(ANN, "post:1");
    assert_eq!((there.files, there.stored), (2, 11));
    assert_eq!(w.kinds(ids[0]), ["ticket.committed", "file.claimed"]);
    assert_eq!(w.files[&ids[0]].unclaimed_at, None);
}

#[test]
fn a_repeated_claim_answers_and_does_nothing() {
    let mut w = unclaimed_slot(3);
    let ids = [w.upload(ANN, "", 5), w.upload(ANN, "", 6)];
    w.claim(ANN, "post:1", &ids[..1]).unwrap();
    assert_eq!(w.claim(ANN, "post:1", &ids), Ok(vec![false, true]));
    assert_eq!(w.kinds(ids[0]), ["ticket.committed", "file.claimed"]);
}

#[test]
fn a_file_named_twice_in_a_claim_is_moved_once() {
    let mut w = unclaimed_slot(1);
    let id = w.upload(ANN, "", 5);
    assert_eq!(w.claim(ANN, "post:1", &[id, id]), Ok(vec![true, false]));
    assert_eq!(w.used(ANN, "post:1").files, 1);
}

#[test]
fn a_file_uploaded_for_a_ref_is_claimed_for_it() {
    let mut w = unclaimed_slot(1);
    let id = w.upload(ANN, "post:1", 5);
    assert_eq!(w.claim(ANN, "post:2", &[id]), Err(Code::ClaimConflict));
    assert_eq!(w.claim(ANN, "", &[id]), Err(Code::ClaimConflict));
    assert_eq!(w.claim(ANN, "post:1", &[id]), Ok(vec![true]));
    assert_eq!(w.used(ANN, "post:1").files, 1);
}

#[test]
fn a_claim_for_the_null_ref_keeps_the_file_there() {
    let mut w = unclaimed_slot(1);
    let id = w.upload(ANN, "", 5);
    assert_eq!(w.claim(ANN, "", &[id]), Ok(vec![true]));
    assert_eq!(w.claim(ANN, "post:1", &[id]), Err(Code::ClaimConflict));
    assert_eq!(w.used(ANN, "").files, 1);
}

#[test]
fn a_claim_takes_all_or_nothing() {
    let mut w = unclaimed_slot(2);
    let mine = [w.upload(ANN, "", 1), w.upload(ANN, "", 1)];
    let bobs = w.upload(BOB, "", 1);
    let nobody = w.id();
    let gone = w.upload(ANN, "post:9", 1);
    w.delete(gone).unwrap();
    w.upload(ANN, "post:1", 1);
    let elsewhere = w.upload(ANN, "post:2", 1);
    let before = (w.files.clone(), w.events.len());
    for (ids, code) in [
        (vec![mine[0], bobs], Code::NotFound),
        (vec![mine[0], nobody], Code::NotFound),
        (vec![mine[0], gone], Code::NotFound),
        (vec![mine[0], elsewhere], Code::ClaimConflict),
        (mine.to_vec(), Code::SlotFull),
    ] {
        assert_eq!(w.claim(ANN, "post:1", &ids), Err(code));
        assert_eq!((&w.files, w.events.len()), (&before.0, before.1));
    }
    assert_eq!(w.claim(ANN, "post:1", &mine[..1]), Ok(vec![true]));
}

#[test]
fn open_tickets_of_a_ref_keep_claims_out_where_the_slot_rejects() {
    for (on_full, expected) in [
        (OnFull::Reject, Err(Code::SlotFull)),
        (OnFull::Replace, Ok(vec![true])),
    ] {
        let mut w = World::of(Policy {
            on_full,
            ..Policy::default()
        });
        let id = w.upload(ANN, "", 1);
        w.mint_one(ANN, "post:1", 1);
        assert_eq!(w.claim(ANN, "post:1", &[id]), expected);
    }
}

#[test]
fn a_claim_that_misses_an_account_changes_nothing() {
    let mut w = unclaimed_slot(9);
    w.slots.insert(slot("t"), w.policy());
    let first = w.upload(ANN, "", 1);
    let request = w.request("t", ANN, "", &[1]);
    let second = w.mint_as(&request)[0].unwrap();
    let attempt = w.attempt(second);
    w.commit(&attempt);
    let mut request = w.claim_request(ANN, "post:1", &[first, second]);
    request.slots.retain(|(name, _)| *name == slot("s"));
    let outcome = w.write(&request.footprint(), |b, now| claim(b, now, &request));
    assert!(matches!(outcome, Err(Stale)));
    assert_eq!(w.used(ANN, "").files, 1);
}

#[test]
fn a_deleted_file_is_a_tombstone_that_gives_its_room_back() {
    let mut w = World::rejecting(1);
    let id = w.upload(ANN, "", 5);
    let ended = w.delete(id).unwrap().unwrap();
    assert_eq!(ended.end_reason, Some(EndReason::Deleted));
    assert_eq!(w.used(ANN, ""), Usage::default());
    w.pass(Seconds(9));
    assert_eq!(
        w.delete(id).unwrap(),
        Some(ended),
        "a tombstone stays as it is"
    );
    assert_eq!(w.kinds(id), ["ticket.committed", "file.deleted"]);
    let event = w.events.last().unwrap();
    assert_eq!(event.body["data"]["reason"], "deleted");
}

#[test]
fn a_file_nobody_claims_ends_when_its_time_has_come() {
    let mut w = unclaimed_slot(2);
    let (kept, lost) = (w.upload(ANN, "", 1), w.upload(ANN, "", 1));
    w.claim(ANN, "post:1", &[kept]).unwrap();
    w.pass(Seconds(3590));
    w.end_unclaimed(lost).unwrap();
    assert!(w.is_live(lost), "not yet");
    w.pass(Seconds(10));
    w.end_unclaimed(lost).unwrap();
    w.end_unclaimed(kept).unwrap();
    assert!(w.is_live(kept) && !w.is_live(lost));
    assert_eq!(w.files[&lost].end_reason, Some(EndReason::Unclaimed));
    assert_eq!(w.claim(ANN, "post:1", &[lost]), Err(Code::NotFound));
}

#[test]
fn a_delete_that_read_an_older_ref_is_told_to_read_again() {
    let mut w = World::rejecting(1);
    let id = w.upload(ANN, "", 1);
    let old = w.files[&id].footprint();
    w.claim(ANN, "post:1", &[id]).unwrap();
    let outcome = w.write(&old, |b, now| delete(b, now, id));
    assert_eq!(outcome, Err(Stale));
    assert!(w.is_live(id));
    w.delete(id).unwrap();
    assert!(!w.is_live(id));
}
