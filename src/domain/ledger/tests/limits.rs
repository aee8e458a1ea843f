//! Law 4: counts, bytes, tenant caps, token limits, live tickets.

use super::*;

#[test]
fn a_rejecting_slot_takes_max_entries_and_refuses_one_more() {
    let mut w = World::rejecting(2);
    let outcomes = w.mint(ANN, "", &[1, 1, 1]);
    assert!(outcomes[0].is_ok() && outcomes[1].is_ok());
    assert_eq!(outcomes[2], Err(Code::SlotFull));
    assert_eq!(w.mint(ANN, "", &[1]), [Err(Code::SlotFull)]);
    assert!(w.mint(ANN, "post:1", &[1])[0].is_ok(), "refs count alone");
    assert!(w.mint(BOB, "", &[1])[0].is_ok(), "owners count alone");
}

#[test]
fn in_a_rejecting_slot_tickets_and_files_are_one_crowd() {
    let mut w = World::rejecting(2);
    let file = w.upload(ANN, "", 1);
    w.mint_one(ANN, "", 1);
    assert_eq!(w.mint(ANN, "", &[1]), [Err(Code::SlotFull)]);
    w.delete(file).unwrap();
    w.mint_one(ANN, "", 1);
}

#[test]
fn a_quota_counts_reserved_and_stored_bytes_of_all_refs() {
    let mut w = World::of(Policy {
        max_entries: 9,
        quota: Some(100),
        ..Policy::default()
    });
    w.upload(ANN, "post:1", 40);
    w.mint_one(ANN, "post:2", 50);
    assert_eq!(w.mint(ANN, "", &[11]), [Err(Code::QuotaExceeded)]);
    assert!(w.mint(ANN, "", &[10])[0].is_ok(), "exactly full is allowed");
    assert!(w.mint(BOB, "", &[100])[0].is_ok());
}

#[test]
fn a_batch_mints_what_fits_and_refuses_the_rest_one_by_one() {
    let mut w = World::of(Policy {
        max_entries: 9,
        quota: Some(100),
        ..Policy::default()
    });
    let outcomes = w.mint(ANN, "", &[60, 60, 40]);
    assert!(outcomes[0].is_ok());
    assert_eq!(outcomes[1], Err(Code::QuotaExceeded));
    assert!(outcomes[2].is_ok());
}

#[test]
fn tenant_caps_hold_over_all_owners() {
    for on_full in [OnFull::Reject, OnFull::Replace] {
        let mut w = World::of(Policy {
            max_entries: 9,
            on_full,
            per_tenant: TenantLimits {
                max_entries: Some(2),
                quota: Some(100),
            },
            ..Policy::default()
        });
        w.mint_one(ANN, "", 60);
        assert_eq!(w.mint(BOB, "", &[41]), [Err(Code::QuotaExceeded)]);
        w.mint_one(BOB, "", 40);
        assert_eq!(w.mint("cy", "", &[1]), [Err(Code::SlotFull)]);
    }
}

#[test]
fn a_token_refuses_earlier_than_its_slot() {
    for on_full in [OnFull::Reject, OnFull::Replace] {
        let mut w = World::of(Policy {
            max_entries: 5,
            on_full,
            ..Policy::default()
        });
        let file = w.upload(ANN, "", 10);
        let tight = |limits| w.policy().tightened(limits);
        let one_entry = tight(TokenLimits {
            max_entries: Some(1),
            ..TokenLimits::default()
        });
        let few_bytes = tight(TokenLimits {
            quota: Some(15),
            ..TokenLimits::default()
        });
        for (policy, code) in [
            (one_entry, Code::SlotFull),
            (few_bytes, Code::QuotaExceeded),
        ] {
            let mut request = w.request("s", ANN, "", &[6]);
            request.policy = policy;
            assert_eq!(w.mint_as(&request), [Err(code)]);
        }
        assert!(w.is_live(file), "a token's limit never retires a file");
        w.mint_one(ANN, "", 6);
    }
}

#[test]
fn a_token_limit_does_not_retire_files_at_commit() {
    let mut w = World::replacing(3);
    let mut request = w.request("s", ANN, "", &[1]);
    request.policy = request.policy.tightened(TokenLimits {
        max_entries: Some(1),
        ..TokenLimits::default()
    });
    let id = w.mint_as(&request)[0].unwrap();
    let others = [w.upload(ANN, "", 1), w.upload(ANN, "", 1)];
    let attempt = w.attempt(id);
    assert!(matches!(w.commit(&attempt), Committed::Done(..)));
    assert!(others.iter().all(|id| w.is_live(*id)));
}

#[test]
fn a_full_replacing_slot_cancels_its_oldest_open_ticket() {
    let mut w = World::replacing(2);
    let first = w.mint_one(ANN, "", 1);
    w.pass(Seconds(1));
    let second = w.mint_one(ANN, "", 1);
    let elsewhere = w.mint_one(ANN, "post:1", 1);
    let request = w.request("s", ANN, "", &[1]);
    let Minted::Done { files, cancelled } = w.do_mint(&request) else {
        panic!("not done");
    };
    assert!(files[0].is_ok());
    assert_eq!(cancelled, [first]);
    assert_eq!(w.state(first), State::Cancelled);
    assert_eq!(w.state(second), State::Open);
    assert_eq!(w.state(elsewhere), State::Open);
    assert_eq!(w.kinds(first), ["ticket.cancelled"]);
}

#[test]
fn a_batch_never_cancels_its_own_tickets() {
    let mut w = World::replacing(2);
    let before = [w.mint_one(ANN, "", 1), w.mint_one(ANN, "", 1)];
    let outcomes = w.mint(ANN, "", &[1, 1, 1]);
    assert_eq!(outcomes[2], Err(Code::SlotFull));
    for id in before {
        assert_eq!(w.state(id), State::Cancelled);
    }
    for id in &outcomes[..2] {
        assert_eq!(w.state(id.unwrap()), State::Open);
    }
}

#[test]
fn a_mint_that_is_refused_anyway_cancels_nobody() {
    let mut w = World::of(Policy {
        max_entries: 1,
        on_full: OnFull::Replace,
        quota: Some(10),
        ..Policy::default()
    });
    let open = w.mint_one(ANN, "", 10);
    assert_eq!(w.mint(ANN, "", &[11]), [Err(Code::QuotaExceeded)]);
    assert_eq!(w.state(open), State::Open);
    assert!(
        w.mint(ANN, "", &[10])[0].is_ok(),
        "the victim's bytes count as free"
    );
    assert_eq!(w.state(open), State::Cancelled);
}

#[test]
fn a_replacing_slot_that_became_smaller_lets_as_many_give_way_as_it_takes() {
    let mut w = World::replacing(3);
    let before: Vec<Id> = (0..3).map(|_| w.mint_one(ANN, "", 1)).collect();
    w.slots.clear();
    let smaller = Policy {
        max_entries: 1,
        on_full: OnFull::Replace,
        ..Policy::default()
    };
    w.slots.insert(slot("s"), smaller);
    w.mint_one(ANN, "", 1);
    assert!(before.iter().all(|id| w.state(*id) == State::Cancelled));
}

#[test]
fn a_replacing_commit_retires_the_oldest_file_of_its_ref() {
    let mut w = World::replacing(2);
    let files: Vec<Id> = (0..2).map(|_| w.upload(ANN, "", 1)).collect();
    let elsewhere = w.upload(ANN, "post:1", 1);
    let new = w.upload(ANN, "", 1);
    assert!(!w.is_live(files[0]) && w.is_live(files[1]) && w.is_live(new));
    assert!(w.is_live(elsewhere));
    assert_eq!(w.kinds(files[0]), ["ticket.committed", "file.deleted"]);
    assert_eq!(w.files[&files[0]].end_reason, Some(EndReason::Replaced));
}

#[test]
fn files_of_one_moment_retire_by_id() {
    let mut w = World::replacing(2);
    let ids: Vec<Id> = (0..2).map(|_| w.mint_one(ANN, "", 1)).collect();
    for id in ids.iter().rev() {
        let attempt = w.attempt(*id);
        w.commit(&attempt);
    }
    assert_eq!(w.files[&ids[0]].committed_at, w.files[&ids[1]].committed_at);
    w.upload(ANN, "", 1);
    assert!(!w.is_live(ids[0]) && w.is_live(ids[1]));
}

#[test]
fn a_replacing_commit_retires_as_many_files_as_its_bytes_need() {
    let mut w = World::of(Policy {
        max_entries: 9,
        on_full: OnFull::Replace,
        quota: Some(100),
        ..Policy::default()
    });
    let files: Vec<Id> = ["a", "b", "c"].map(|r| w.upload(ANN, r, 30)).to_vec();
    let bobs = w.upload(BOB, "", 90);
    w.upload(ANN, "d", 70);
    let live: Vec<bool> = files.iter().map(|id| w.is_live(*id)).collect();
    assert_eq!(live, [false, false, true]);
    assert!(w.is_live(bobs));
}

#[test]
fn a_commit_reads_no_more_of_the_oldest_files_than_it_asks_for_and_says_when_they_are_too_few() {
    let mut w = World::of(Policy {
        max_entries: 100,
        on_full: OnFull::Replace,
        quota: Some(100),
        ..Policy::default()
    });
    // A young file of the ref that commits, and older ones of others.
    let files: Vec<Id> = (0..50)
        .map(|n| w.upload(ANN, ["a", "b", "c"][n % 3], 2))
        .collect();
    let id = w.mint_one(ANN, "b", 61);
    let request = commit_of(&w.attempt(id));
    for (oldest, is_enough) in [(1, false), (30, false), (31, true)] {
        let footprint = request.footprint(oldest);
        let (read, done) = w.write(&footprint, |books, now| {
            let read = (0..50).filter(|n| books.file(files[*n]).is_some()).count();
            (read, commit(books, now, &request))
        });
        // Of the ref and of the slot, and most are the same.
        assert!(read <= 2 * oldest as usize, "{read} of {oldest}");
        assert_eq!(done.is_ok(), is_enough, "{oldest}: {done:?}");
        let gone = files.iter().take_while(|id| !w.is_live(**id)).count();
        let live = files.iter().filter(|id| w.is_live(**id)).count();
        assert_eq!(gone, if is_enough { 31 } else { 0 });
        assert_eq!(live, 50 - gone, "the oldest and no other");
    }
}

#[test]
fn a_file_that_is_loaded_for_another_reason_does_not_give_way_before_an_older_one() {
    let mut w = World::of(Policy {
        max_entries: 100,
        on_full: OnFull::Replace,
        quota: Some(30),
        ..Policy::default()
    });
    let files: Vec<Id> = (0..3).map(|_| w.upload(ANN, "", 10)).collect();
    let id = w.mint_one(ANN, "", 20);
    let request = commit_of(&w.attempt(id));
    let youngest = w.files[&files[2]].footprint();
    let done = w.write_all(&[&request.footprint(1), &youngest], false, |books, now| {
        commit(books, now, &request)
    });
    assert!(done.is_err(), "{done:?}");
    let attempt = w.tickets[&id].clone();
    assert!(matches!(w.commit(&attempt), Committed::Done(..)));
    let live: Vec<bool> = files.iter().map(|id| w.is_live(*id)).collect();
    assert_eq!(live, [false, false, true]);
}

#[test]
fn a_commit_that_no_file_of_the_owner_can_make_room_for_cancels_its_ticket_and_retires_nothing() {
    let mut w = World::of(Policy {
        max_entries: 9,
        on_full: OnFull::Replace,
        per_tenant: TenantLimits {
            max_entries: None,
            quota: Some(100),
        },
        ..Policy::default()
    });
    w.upload(BOB, "", 90);
    let own = w.upload(ANN, "", 10);
    let id = w.mint_one(ANN, "", 20);
    let attempt = w.attempt(id);
    assert!(matches!(w.commit(&attempt), Committed::NoRoom(_)));
    assert!(w.is_live(own));
    assert_eq!(w.state(id), State::Cancelled);
    assert_eq!(w.kinds(id), ["ticket.cancelled"]);
    assert!(matches!(w.commit(&attempt), Committed::Lost(_)));
}

#[test]
fn an_owner_has_at_most_max_open_tickets() {
    let mut w = World::rejecting(500);
    let mut request = w.request("s", ANN, "", &[1, 1, 1]);
    request.max_open_tickets = 2;
    let outcomes = w.mint_as(&request);
    assert!(outcomes[1].is_ok());
    assert_eq!(outcomes[2], Err(Code::TooManyOpenTickets));
    let mut elsewhere = w.request("s", ANN, "post:1", &[1]);
    elsewhere.max_open_tickets = 2;
    assert_eq!(w.mint_as(&elsewhere), [Err(Code::TooManyOpenTickets)]);
    let mut bobs = w.request("s", BOB, "", &[1]);
    bobs.max_open_tickets = 2;
    assert!(w.mint_as(&bobs)[0].is_ok());
}

#[test]
fn tickets_refused_or_cancelled_lately_still_count_as_live() {
    type End = fn(&mut World, Id);
    let ends: [(End, bool); 4] = [
        (|w, id| drop(w.cancel(id)), true),
        (
            |w, id| {
                let attempt = w.attempt(id);
                w.reject(&attempt);
            },
            true,
        ),
        (
            |w, id| {
                let attempt = w.attempt(id);
                w.commit(&attempt);
            },
            false,
        ),
        (
            |w, id| {
                let policy = w.policy();
                w.pass(policy.ticket_ttl);
                w.pass(GRACE);
                let attempt = w.attempt(id);
                w.expire(&attempt);
            },
            false,
        ),
    ];
    for (end, counts) in ends {
        let mut w = World::rejecting(9);
        let id = w.mint_one(ANN, "", 1);
        end(&mut w, id);
        let mut request = w.request("s", ANN, "", &[1]);
        request.max_open_tickets = 1;
        let outcome = w.mint_as(&request)[0];
        if counts {
            assert_eq!(outcome, Err(Code::TooManyOpenTickets), "{:?}", w.state(id));
            let policy = w.policy();
            w.pass(policy.url_ttl);
            let mut request = w.request("s", ANN, "", &[1]);
            request.max_open_tickets = 1;
            assert!(w.mint_as(&request)[0].is_ok(), "after url_ttl it is over");
        } else {
            assert!(outcome.is_ok(), "{:?}", w.state(id));
        }
    }
}

#[test]
fn an_idempotent_mint_is_replayed_with_its_refusals_and_never_counted_twice() {
    let mut w = World::rejecting(1);
    let key = IdempotencyKey {
        tenant: tenant(),
        caller: owner(ANN),
        key: "k".into(),
    };
    let mut request = w.request("s", ANN, "", &[1, 1]);
    request.idempotency = Some((key.clone(), "hash".into()));
    let first = w.mint_as(&request)[0].unwrap();
    let mut repeat = w.request("s", ANN, "", &[1, 1]);
    repeat.idempotency = request.idempotency.clone();
    let Minted::Replay(then) = w.do_mint(&repeat) else {
        panic!("not replayed");
    };
    assert_eq!(then[0], Ok(first));
    assert_eq!(then[1].as_ref().unwrap_err().code, Code::SlotFull);
    assert_eq!(w.used(ANN, "").open, 1);
    repeat.idempotency = Some((key, "another".into()));
    assert!(matches!(w.do_mint(&repeat), Minted::Mismatch));
    let mut bobs = w.request("s", BOB, "", &[1]);
    bobs.idempotency = Some((
        IdempotencyKey {
            tenant: tenant(),
            caller: owner(BOB),
            key: "k".into(),
        },
        "another".into(),
    ));
    assert!(w.mint_as(&bobs)[0].is_ok(), "keys belong to their caller");
}

#[test]
fn a_mint_whose_commit_nobody_saw_runs_again_without_effect() {
    let mut w = World::replacing(1);
    w.mint_one(ANN, "", 1);
    let request = w.request("s", ANN, "", &[1]);
    w.do_mint(&request);
    let events = w.events.len();
    let again = w
        .write_all(&[&request.footprint()], true, |books, now| {
            mint(books, now, &request)
        })
        .unwrap();
    let Minted::Done { files, cancelled } = again else {
        panic!("not done");
    };
    assert_eq!(files[0].as_ref().unwrap().state, State::Open);
    assert!(cancelled.is_empty());
    assert_eq!((w.events.len(), w.used(ANN, "").open), (events, 1));
}

#[test]
fn two_mints_in_one_transaction_see_each_other() {
    let mut w = World::rejecting(1);
    let (a, b) = (w.request("s", ANN, "", &[1]), w.request("s", ANN, "", &[1]));
    let (first, second) = w.write_all(&[&a.footprint(), &b.footprint()], false, |books, now| {
        (mint(books, now, &a), mint(books, now, &b))
    });
    assert!(matches!(first.unwrap(), Minted::Done { files, .. } if files[0].is_ok()));
    assert!(matches!(second.unwrap(), Minted::Done { files, .. } if files[0].is_err()));
}

#[test]
fn what_only_others_leave_no_room_for_is_cancelled_without_a_look_at_the_owners_files() {
    let mut w = World::of(Policy {
        max_entries: 100,
        on_full: OnFull::Replace,
        per_tenant: TenantLimits {
            quota: Some(100),
            ..TenantLimits::default()
        },
        ..Policy::default()
    });
    w.upload(BOB, "", 60);
    let files: Vec<Id> = (0..20).map(|_| w.upload(ANN, "", 1)).collect();
    for (size, is_done) in [(41, false), (40, true)] {
        let id = w.mint_one(ANN, "", size);
        let request = commit_of(&w.attempt(id));
        let footprint = request.footprint(if is_done { 20 } else { 1 });
        let done = w.write(&footprint, |books, now| commit(books, now, &request));
        assert_eq!(matches!(done, Ok(Committed::Done(..))), is_done, "{done:?}");
        assert_eq!(
            matches!(done, Ok(Committed::NoRoom(_))),
            !is_done,
            "{done:?}"
        );
        assert!(files.iter().all(|id| w.is_live(*id) != is_done));
    }
}

#[test]
fn one_that_would_push_out_more_files_than_a_transaction_bears_is_cancelled() {
    let most = OLDEST_FILES[OLDEST_FILES.len() - 1];
    let all = u64::from(most) + 1;
    let mut w = World::of(Policy {
        max_entries: 100_000,
        on_full: OnFull::Replace,
        quota: Some(all),
        ..Policy::default()
    });
    let first = w.upload(ANN, "", 1);
    for _ in 1..all {
        let id = w.id();
        let file = File {
            id,
            ..w.files[&first].clone()
        };
        w.files.insert(id, file);
        let ticket = Ticket {
            id,
            ..w.tickets[&first].clone()
        };
        w.tickets.insert(id, ticket);
        let told = Event {
            subject: id,
            ..w.events[0].clone()
        };
        w.events.push(told);
    }
    for account in accounts(&w.tickets[&first]) {
        let usage = w.usage.get_mut(&account).expect("it holds a file");
        usage.files += i64::from(most);
        usage.stored += i64::from(most);
    }
    for (size, is_done) in [(all, false), (all - 1, true)] {
        let id = w.mint_one(ANN, "", size);
        let request = commit_of(&w.attempt(id));
        let done = w.write(&request.footprint(most), |books, now| {
            commit(books, now, &request)
        });
        assert_eq!(matches!(done, Ok(Committed::Done(..))), is_done, "{done:?}");
        assert_eq!(
            matches!(done, Ok(Committed::NoRoom(_))),
            !is_done,
            "{done:?}"
        );
        let live = w.files.values().filter(|f| f.is_live()).count();
        assert_eq!(live as u64, if is_done { 2 } else { all });
    }
}
