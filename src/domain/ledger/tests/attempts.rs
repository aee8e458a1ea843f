//! Law 5: attempts, their fence, and every way a ticket ends.

use super::*;

/// The five hands that may end a ticket, each as it was when the race began.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Hand {
    Commit,
    Reject,
    Expire,
    Cancel,
    LaterCommit,
}

const HANDS: [Hand; 5] = [
    Hand::Commit,
    Hand::Reject,
    Hand::Expire,
    Hand::Cancel,
    Hand::LaterCommit,
];

fn permutations(hands: &[Hand]) -> Vec<Vec<Hand>> {
    if hands.is_empty() {
        return vec![Vec::new()];
    }
    let mut all = Vec::new();
    for (at, first) in hands.iter().enumerate() {
        let rest: Vec<Hand> = [&hands[..at], &hands[at + 1..]].concat();
        for mut tail in permutations(&rest) {
            tail.insert(0, *first);
            all.push(tail);
        }
    }
    all
}

#[test]
fn in_every_order_of_a_race_one_hand_ends_the_ticket_and_one_event_tells() {
    for order in permutations(&HANDS) {
        let mut w = World::rejecting(1);
        let id = w.mint_one(ANN, "", 7);
        let policy = w.policy();
        w.pass(policy.ticket_ttl);
        w.pass(GRACE);
        let attempt = w.attempt(id);
        // A second attempt takes over when its turn comes, after the first one's lease.
        let mut winner = None;
        for hand in &order {
            let before = w.state(id);
            match hand {
                Hand::Commit => drop(w.commit(&attempt)),
                Hand::Reject => drop(w.reject(&attempt)),
                Hand::Expire => drop(w.expire(&attempt)),
                Hand::Cancel => drop(w.cancel(id)),
                Hand::LaterCommit => {
                    w.pass(LEASE);
                    if let Began::Yours(later) = w.begin(id) {
                        assert!(matches!(w.commit(&attempt), Committed::Lost(_)));
                        w.commit(&later);
                    }
                }
            }
            if before == State::Open {
                assert_ne!(w.state(id), State::Open, "{order:?}");
                winner = Some((*hand, w.state(id)));
            } else {
                assert_eq!(w.state(id), before, "{order:?}");
            }
        }
        let (hand, state) = winner.unwrap();
        assert_eq!(hand, order[0]);
        let expected = match hand {
            Hand::Commit | Hand::LaterCommit => State::Committed,
            Hand::Reject => State::Rejected,
            Hand::Expire => State::Expired,
            Hand::Cancel => State::Cancelled,
        };
        assert_eq!(state, expected);
        assert_eq!(w.kinds(id).len(), 1, "{order:?}");
        let used = w.used(ANN, "");
        assert_eq!((used.open, used.reserved), (0, 0));
        assert_eq!(used.files, i64::from(state == State::Committed));
    }
}

#[test]
fn a_lease_is_held_by_one() {
    let mut w = World::rejecting(1);
    let id = w.mint_one(ANN, "", 1);
    assert_eq!(w.attempt(id).epoch, 1);
    assert!(matches!(w.begin(id), Began::Busy));
    w.pass(LEASE);
    assert_eq!(w.attempt(id).epoch, 2);
    let nobody = w.id();
    assert!(matches!(w.begin(nobody), Began::Unknown));
    w.cancel(id);
    assert!(matches!(w.begin(id), Began::Closed(t) if t.state == State::Cancelled));
}

#[test]
fn a_lease_whose_grant_went_unheard_is_taken_by_who_asked_for_it_and_nobody_else() {
    let mut w = World::rejecting(1);
    let id = w.mint_one(ANN, "", 1);
    let unheard = w.attempt(id);
    let again = |w: &mut World, before: &Ticket| {
        w.write(&before.row(), |b, now| {
            begin_after(b, now, id, Some(before))
        })
    };
    assert!(matches!(w.begin(id), Began::Busy));
    assert!(matches!(again(&mut w, &unheard), Began::Yours(t) if t.epoch == 2));
    // Now it is at epoch 2: what was decided before says nothing about that.
    assert!(matches!(again(&mut w, &unheard), Began::Busy));
}

#[test]
fn a_stalled_holder_loses_everything_but_the_truth() {
    let mut w = World::rejecting(1);
    let id = w.mint_one(ANN, "", 1);
    let stalled = w.attempt(id);
    w.pass(LEASE);
    let holder = w.attempt(id);
    let row = stalled.row();
    assert!(!w.write(&row, |b, now| renew(b, now, id, stalled.epoch)));
    assert!(!w.write(&row, |b, _| note_promotion(b, id, stalled.epoch, "k", "u")));
    w.write(&row, |b, _| release(b, id, stalled.epoch, "gave up"));
    w.write(&row, |b, now| {
        look_later(b, now, id, stalled.epoch, "later");
    });
    assert!(matches!(w.commit(&stalled), Committed::Lost(t) if t.state == State::Open));
    assert!(matches!(w.reject(&stalled), Ended::Otherwise(t) if t.state == State::Open));
    assert_eq!(w.tickets[&id], holder, "the stalled holder left no trace");
    assert!(matches!(w.commit(&holder), Committed::Done(..)));
    assert!(matches!(w.commit(&stalled), Committed::Lost(t) if t.state == State::Committed));
}

#[test]
fn a_lease_can_be_renewed_and_given_back() {
    let mut w = World::rejecting(1);
    let id = w.mint_one(ANN, "", 1);
    let attempt = w.attempt(id);
    let row = attempt.row();
    w.pass(Seconds(LEASE.0 - 1));
    assert!(w.write(&row, |b, now| renew(b, now, id, 1)));
    w.pass(Seconds(LEASE.0 - 1));
    assert!(matches!(w.begin(id), Began::Busy));
    w.write(&row, |b, _| release(b, id, 1, "the store is away"));
    assert_eq!(w.tickets[&id].note.as_deref(), Some("the store is away"));
    assert_eq!(w.attempt(id).epoch, 2);
}

#[test]
fn looking_later_backs_off_and_leaves_a_newer_lease_alone() {
    let mut w = World::rejecting(1);
    let id = w.mint_one(ANN, "", 1);
    let mut waits = Vec::new();
    for _ in 0..8 {
        let attempt = w.attempt(id);
        w.write(&attempt.row(), |b, now| {
            look_later(b, now, id, attempt.epoch, "nothing there");
            assert!(
                b.ticket(id).unwrap().is_leased(now),
                "it is not the look's to give"
            );
            release(b, id, attempt.epoch, "nothing there");
        });
        let next = w.tickets[&id].next_check_at.unwrap();
        waits.push(w.now.seconds_until(next));
    }
    assert_eq!(waits, [120, 240, 480, 960, 1920, 3600, 3600, 3600]);
}

#[test]
fn a_ticket_expires_after_the_grace_and_not_before() {
    let mut w = World::rejecting(1);
    let id = w.mint_one(ANN, "", 1);
    let policy = w.policy();
    w.pass(policy.ticket_ttl);
    let attempt = w.attempt(id);
    assert!(matches!(w.expire(&attempt), Ended::Otherwise(t) if t.state == State::Open));
    w.pass(GRACE);
    assert!(matches!(w.expire(&attempt), Ended::Now(t) if t.state == State::Expired));
    assert!(matches!(w.expire(&attempt), Ended::Now(_)), "said again");
    let problem = w.tickets[&id].problem.clone().unwrap();
    assert_eq!(problem.code, Code::TicketExpired);
}

#[test]
fn every_end_repeats_its_outcome_without_effect() {
    let mut w = World::rejecting(9);
    let ids = [(); 3].map(|()| w.mint_one(ANN, "", 5));
    let (good, bad, unwanted) = (w.attempt(ids[0]), w.attempt(ids[1]), ids[2]);
    w.commit(&good);
    w.reject(&bad);
    w.cancel(unwanted);
    let (events, used) = (w.events.len(), w.used(ANN, ""));
    w.pass(Seconds(5));
    assert!(matches!(w.commit(&good), Committed::Done(..)));
    assert!(matches!(w.reject(&bad), Ended::Now(_)));
    assert!(matches!(w.cancel(unwanted), Ended::Now(_)));
    assert!(matches!(w.cancel(good.id), Ended::Otherwise(t) if t.state == State::Committed));
    assert_eq!((w.events.len(), w.used(ANN, "")), (events, used));
}

#[test]
fn a_committed_ticket_repeats_its_file_even_when_that_has_ended() {
    let mut w = World::rejecting(1);
    let id = w.mint_one(ANN, "", 1);
    let attempt = w.attempt(id);
    w.commit(&attempt);
    w.delete(id).unwrap();
    assert!(matches!(w.commit(&attempt), Committed::Done(_, file) if !file.is_live()));
    assert_eq!(w.used(ANN, ""), Usage::default());
}

#[test]
fn a_commit_settles_the_bytes_that_came_not_those_reserved() {
    let mut w = World::of(Policy {
        quota: Some(100),
        max_entries: 2,
        ..Policy::default()
    });
    let id = w.mint_one(ANN, "", 100);
    let attempt = w.attempt(id);
    let mut request = commit_of(&attempt);
    request.file.size = 30;
    w.write(&request.footprint(1), |b, now| commit(b, now, &request))
        .unwrap();
    let used = w.used(ANN, "");
    assert_eq!((used.reserved, used.stored), (0, 30));
    w.mint_one(ANN, "", 70);
}

#[test]
fn signing_pushes_the_deadline_of_open_tickets_up_to_seven_days() {
    let mut w = World::rejecting(1);
    let id = w.mint_one(ANN, "", 1);
    let born = w.now;
    let row = w.tickets[&id].row();
    for _ in 0..20 {
        w.pass(Seconds(12 * 3600));
        assert!(w.write(&row, |b, now| touch(b, now, id)));
    }
    let longest = born.plus(Seconds(7 * 24 * 3600));
    assert_eq!(w.tickets[&id].expires_at, longest);
    w.cancel(id);
    assert!(!w.write(&row, |b, now| touch(b, now, id)));
}

#[test]
fn the_first_multipart_upload_stays() {
    let mut w = World::rejecting(1);
    let id = w.mint_one(ANN, "", 1);
    let row = w.tickets[&id].row();
    let note = |w: &mut World, seen: Option<&str>, new: Option<&str>| {
        w.write(&row, |b, _| note_multipart(b, id, seen, new))
    };
    assert_eq!(note(&mut w, None, Some("a")).as_deref(), Some("a"));
    assert_eq!(note(&mut w, None, Some("b")).as_deref(), Some("a"));
    assert_eq!(note(&mut w, Some("a"), None), None);
    assert_eq!(note(&mut w, None, Some("b")).as_deref(), Some("b"));
}

#[test]
fn leftovers_of_a_closed_ticket_are_due_at_once_and_later_when_the_store_refuses() {
    let mut w = World::rejecting(1);
    let id = w.mint_one(ANN, "", 1);
    let row = w.tickets[&id].row();
    w.write(&row, |b, now| clean_later(b, now, id));
    assert_eq!(w.tickets[&id].clean_at, None, "it is open");
    w.cancel(id);
    assert_eq!(w.tickets[&id].clean_at, Some(w.now));
    w.write(&row, |b, now| clean_later(b, now, id));
    assert!(w.tickets[&id].clean_at > Some(w.now));
    w.write(&row, |b, _| cleaned(b, id));
    w.write(&row, |b, now| clean_later(b, now, id));
    assert_eq!(w.tickets[&id].clean_at, None, "it is clean");
}

#[test]
fn a_file_replaced_by_the_transaction_that_committed_it_is_a_tombstone_with_its_events() {
    let mut w = World::replacing(2);
    let [a, b] = [(); 2].map(|()| w.mint_one(ANN, "", 1));
    for ticket in w.tickets.values_mut() {
        ticket.policy.max_entries = 1;
    }
    let (a, b) = (commit_of(&w.attempt(a)), commit_of(&w.attempt(b)));
    w.write_all(&[&a.footprint(1), &b.footprint(1)], false, |books, now| {
        commit(books, now, &a).unwrap();
        commit(books, now, &b).unwrap();
    });
    assert_eq!(w.kinds(a.ticket.id), ["ticket.committed", "file.deleted"]);
    assert!(!w.is_live(a.ticket.id) && w.is_live(b.ticket.id));
}

#[test]
fn the_worker_never_looks_past_the_last_attempt_and_then_keeps_looking() {
    let mut w = World::rejecting(1);
    let id = w.mint_one(ANN, "", 1);
    let mut ticket = w.tickets[&id].clone();
    ticket.checks = 9;
    let last = ticket.expires_at.plus(GRACE);
    assert_eq!(ticket.next_look(last.minus(Seconds(10))), last);
    assert_eq!(ticket.next_look(last), last.plus(Seconds(3600)));
    assert!(ticket.is_past_grace(last) && !ticket.is_past_grace(last.minus(Seconds(1))));
}

#[test]
fn no_url_outlives_its_ticket() {
    let mut w = World::rejecting(1);
    let id = w.mint_one(ANN, "", 1);
    let ticket = &w.tickets[&id];
    let end = ticket.expires_at;
    for (left, life) in [
        (24 * 3600, Some(Seconds(900))),
        (900, Some(Seconds(900))),
        (899, Some(Seconds(899))),
        (1, Some(Seconds(1))),
        (0, None),
    ] {
        assert_eq!(ticket.url_life(end.minus(Seconds(left))), life, "{left}");
    }
    assert_eq!(ticket.url_life(end.plus(Seconds(1))), None);
    assert!(!ticket.wants_renewal(end.minus(Seconds(12 * 3600))));
    assert!(ticket.wants_renewal(end.minus(Seconds(12 * 3600 - 1))));
}
