//! `webhook`: what an operator asks of the outbox.

use std::sync::Arc;

use clap::{Subcommand, ValueEnum};
use putgate::clock::Clock;
use putgate::config::Config;
use putgate::db::Db;
use putgate::domain::ledger::Replayed;
use putgate::domain::name::Id;
use putgate::domain::outbox::{Answer, DeliveryState, Next, Outgoing, complaint, next};
use putgate::flow::{self, deliver};
use putgate::webhook::{PATIENCE, Receiver, Settings};
use serde_json::json;

use super::{Done, Failure, count, database, print};

/// How many rows are read at a time.
const PAGE: u32 = 500;

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// List the events that are waiting or were given up, oldest first.
    List {
        /// Only those in this state.
        #[arg(long)]
        state: Option<State>,
        /// One JSON object per line, with the event's body.
        #[arg(long)]
        json: bool,
    },
    /// Send events again, beside a running server too: it does so at its next look.
    #[command(group = clap::ArgGroup::new("which").required(true))]
    Replay {
        /// The event, whatever became of it.
        #[arg(group = "which")]
        id: Option<Id>,
        /// All that were given up.
        #[arg(long, group = "which")]
        dead: bool,
    },
    /// Send a signed `webhook.test` to the receiver now and say what it answers.
    Test,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
pub(super) enum State {
    Pending,
    Delivered,
    Dead,
}

impl From<State> for DeliveryState {
    fn from(state: State) -> Self {
        match state {
            State::Pending => Self::Pending,
            State::Delivered => Self::Delivered,
            State::Dead => Self::Dead,
        }
    }
}

pub(super) async fn run(config: Config, command: Command) -> Done {
    match command {
        Command::List { state, json } => {
            let states = match state {
                Some(state) => vec![state.into()],
                None => vec![DeliveryState::Pending, DeliveryState::Dead],
            };
            list(&config, &states, json).await
        }
        Command::Replay { id: Some(id), .. } => replay_one(&config, id).await,
        Command::Replay { id: None, .. } => replay_dead(&config).await,
        Command::Test => test(&config).await,
    }
}

/// Where the configuration sends events.
pub(super) fn receiver(config: &Config) -> Result<Option<Arc<Receiver>>, Failure> {
    let Some(webhook) = &config.webhook else {
        return Ok(None);
    };
    let settings = Settings {
        url: webhook.url.clone(),
        secrets: webhook.secrets.clone(),
        allow_private: webhook.allow_private,
        patience: PATIENCE,
    };
    Receiver::new(settings).map(Some).map_err(Failure::broken)
}

async fn list(config: &Config, states: &[DeliveryState], json: bool) -> Done {
    let db = Db::open_beside(&database(config, false), Clock::System)
        .await
        .map_err(Failure::broken)?;
    let mut after = None;
    loop {
        let page = db
            .outbox(states, after, PAGE)
            .await
            .map_err(Failure::broken)?;
        for event in &page {
            print(&if json { as_json(event) } else { line(event) });
        }
        match page.last() {
            Some(last) => after = Some(last.id),
            None => break,
        }
    }
    db.close().await;
    Ok(())
}

fn line(event: &Outgoing) -> String {
    let delivery = &event.delivery;
    let words = [
        Some(event.id.to_string()),
        Some(event.kind.clone()),
        Some(format!("{} of {}", event.seq, event.subject)),
        Some(delivery.state.as_str().to_owned()),
        Some(count(delivery.tries as usize, "try", "tries")),
        delivery.next_try_at.map(|at| format!("next {at}")),
        delivery.last_status.map(|status| status.to_string()),
        delivery.last_error.clone(),
    ];
    let words: Vec<String> = words.into_iter().flatten().collect();
    words.join("  ")
}

fn as_json(event: &Outgoing) -> String {
    let delivery = &event.delivery;
    let body: serde_json::Value = serde_json::from_str(&event.body).unwrap_or_default();
    json!({
        "id": event.id,
        "type": event.kind,
        "subject": event.subject,
        "seq": event.seq,
        "tenant": event.tenant,
        "created_at": event.created_at,
        "state": delivery.state.as_str(),
        "tries": delivery.tries,
        "next_try_at": delivery.next_try_at,
        "settled_at": delivery.settled_at,
        "last_status": delivery.last_status,
        "last_error": delivery.last_error,
        "body": body,
    })
    .to_string()
}

async fn amend(config: &Config) -> Result<Db, Failure> {
    let ids = || flow::new_id(&Clock::System);
    Db::open_to_amend(&database(config, false), Clock::System, ids)
        .await
        .map_err(Failure::broken)
}

async fn replay_one(config: &Config, id: Id) -> Done {
    let db = amend(config).await?;
    let replayed = deliver::replay(&db, id).await;
    db.close().await;
    match replayed.map_err(Failure::broken)? {
        Replayed::Due => {
            print("it will be sent again");
            Ok(())
        }
        Replayed::Held => Err(Failure::broken(format!(
            "{id} is being sent at this moment; look again in half a minute"
        ))),
        Replayed::Unknown => Err(Failure::broken(format!(
            "no event is called {id}; `putgate webhook list` shows them"
        ))),
    }
}

async fn replay_dead(config: &Config) -> Done {
    let db = amend(config).await?;
    let (mut replayed, mut after) = (0, None);
    loop {
        let page = db
            .outbox(&[DeliveryState::Dead], after, PAGE)
            .await
            .map_err(Failure::broken)?;
        for event in &page {
            let done = deliver::replay(&db, event.id)
                .await
                .map_err(Failure::broken)?;
            replayed += usize::from(done == Replayed::Due);
        }
        match page.last() {
            Some(last) => after = Some(last.id),
            None => break,
        }
    }
    db.close().await;
    print(&format!(
        "{} will be sent again",
        count(replayed, "event", "events")
    ));
    Ok(())
}

/// A test event is no event: it has no row, no second try and no place in any order.
async fn test(config: &Config) -> Done {
    let receiver = receiver(config)?.ok_or_else(|| {
        Failure::wrong("webhook: missing. Write [webhook] with url and secret_files.")
    })?;
    let now = Clock::System.now();
    let id = flow::new_id(&Clock::System);
    let body = json!({"type": "webhook.test", "timestamp": now, "data": {}}).to_string();
    let answer = receiver.send(id, &body, now).await;
    let took = now.millis().abs_diff(Clock::System.now().millis());
    let said = match &answer {
        Answer::Status { status, .. } => format!("{status} after {took} ms"),
        Answer::None(_) => format!("no answer after {took} ms"),
    };
    match (next(&answer, 1, id), complaint(&answer)) {
        (Next::Delivered, _) => {
            print(&format!("{id} was delivered: {said}"));
            Ok(())
        }
        (_, why) => Err(Failure::broken(format!(
            "{id} was not delivered: {said}: {}",
            why.unwrap_or_default()
        ))),
    }
}
