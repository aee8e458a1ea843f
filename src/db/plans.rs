//! On SQLite lists and polls are answered from an index, in its order: `EXPLAIN QUERY PLAN`
//! of the very texts that are sent. PostgreSQL's are in tests/postgres.rs, by what the server
//! counts.

use sqlx::{AssertSqlSafe, Connection, Executor, Row, SqliteConnection};

use super::sql::Kind;
use super::{FileFilter, TicketFilter, backlog, load, outbox, read, save, work};
use crate::domain::name::{Id, Owner, Ref, SlotName, Tenant};
use crate::domain::ticket::State;
use crate::domain::time::Timestamp;

async fn database() -> SqliteConnection {
    let mut connection = SqliteConnection::connect("sqlite::memory:").await.unwrap();
    for schema in [
        include_str!("../../migrations/sqlite/0001_the_house.sql"),
        include_str!("../../migrations/sqlite/0002_takings.sql"),
    ] {
        connection.execute(schema).await.unwrap();
    }
    connection
}

async fn plan(connection: &mut SqliteConnection, sql: &str) -> String {
    let explain = format!("EXPLAIN QUERY PLAN {sql}");
    let rows = connection.fetch_all(AssertSqlSafe(explain)).await.unwrap();
    let steps: Vec<String> = rows.iter().map(|row| row.get("detail")).collect();
    steps.join(" ; ") + " "
}

async fn expect(connection: &mut SqliteConnection, sql: &str, index: &str) {
    let plan = plan(connection, sql).await;
    let uses = format!("INDEX {index} ");
    assert!(plan.contains(&uses), "{sql}\nshould use {index}: {plan}");
    for bad in ["TEMP B-TREE", "AUTOMATIC"] {
        assert!(!plan.contains(bad), "{sql}\n{plan}");
    }
}

#[tokio::test]
async fn every_shape_of_file_list_walks_its_index() {
    let mut connection = database().await;
    for (owner, slot, reference, index) in [
        (true, false, false, "files_of_owner"),
        (true, true, false, "files_of_owner_in_slot"),
        (false, false, false, "files_of_tenant"),
        (false, true, false, "files_of_tenant_in_slot"),
        (true, true, true, "files_of_ref"),
    ] {
        for after in [None, Some((Timestamp::default(), Id::nil()))] {
            let filter = FileFilter {
                tenant: Tenant::parse("acme").unwrap(),
                owner: owner.then(|| Owner::parse("ann").unwrap()),
                slots: slot.then(|| vec![SlotName::parse("s").unwrap()]),
                reference: reference.then(|| Ref::parse("post:1").unwrap()),
                after,
            };
            expect(
                &mut connection,
                &read::files_sql(&filter, Kind::Sqlite),
                index,
            )
            .await;
        }
    }
}

#[tokio::test]
async fn every_shape_of_ticket_list_walks_its_index_from_its_cursor() {
    let mut connection = database().await;
    for (owner, index) in [(true, "tickets_of_owner"), (false, "tickets_of_tenant")] {
        for slot in [false, true] {
            for state in [None, Some(State::Open)] {
                let mut filter = TicketFilter {
                    tenant: Tenant::parse("acme").unwrap(),
                    owner: owner.then(|| Owner::parse("ann").unwrap()),
                    slots: slot.then(|| vec![SlotName::parse("s").unwrap()]),
                    reference: None,
                    state,
                    after: None,
                };
                expect(
                    &mut connection,
                    &read::tickets_sql(&filter, Kind::Sqlite),
                    index,
                )
                .await;
                filter.after = Some(Id::nil());
                let sql = read::tickets_sql(&filter, Kind::Sqlite);
                expect(&mut connection, &sql, index).await;
                let plan = plan(&mut connection, &sql).await;
                assert!(plan.contains("id<?"), "{sql}\nskips to its page: {plan}");
            }
        }
    }
}

#[tokio::test]
async fn polls_and_loads_walk_their_index() {
    let mut connection = database().await;
    let loads = [
        (outbox::due_sql(Kind::Sqlite), "events_due"),
        (outbox::any_due_sql(), "events_due"),
        (load::giving_way_sql(), "tickets_open"),
        (load::retiring_sql(false), "files_of_ref"),
        (load::retiring_sql(true), "files_of_owner_in_slot"),
        (backlog::waiting_tickets(), "tickets_due"),
        (backlog::WAITING_EVENTS.to_owned(), "events_due"),
    ];
    for (sql, index) in work::polls(Kind::Sqlite).into_iter().chain(loads) {
        expect(&mut connection, &sql, index).await;
    }
    let plan = plan(&mut connection, load::HOLDINGS).await;
    assert!(plan.contains("INDEX tickets_cooling "), "{plan}");
}

#[tokio::test]
async fn what_the_outbox_writes_and_what_is_forgotten_scans_no_table() {
    let mut connection = database().await;
    let indexes = [
        "tickets_closed",
        "events_settled",
        "events_due",
        "idempotency_old",
    ];
    for (old, index) in save::Old::ALL.iter().zip(indexes) {
        expect(&mut connection, &old.delete(Kind::Sqlite), index).await;
        expect(&mut connection, &old.any(), index).await;
    }
    for (sql, searches) in [
        (
            outbox::MOVE_FOLLOWERS.to_owned(),
            // Of the UNIQUE (subject, seq).
            "INDEX sqlite_autoindex_events_2 (subject=? AND seq>?)",
        ),
        (
            outbox::queue_up_sql("IN ($1, $2)"),
            "INDEX sqlite_autoindex_events_2 (subject=? AND seq<?)",
        ),
        (
            outbox::queue_up_sql("IN ($1, $2)"),
            "INDEX sqlite_autoindex_events_1 (id=?)",
        ),
        (
            save::forget_empty(Kind::Sqlite),
            "PRIMARY KEY (account>? AND account<?)",
        ),
    ] {
        let plan = plan(&mut connection, &sql).await;
        assert!(plan.contains(searches), "{sql}\n{plan}");
        assert!(!plan.contains("SCAN "), "{sql}\n{plan}");
    }
}
