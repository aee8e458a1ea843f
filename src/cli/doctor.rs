//! `doctor`: tries everything, and says what it saw.

use std::path::Path;

use putgate::clock::Clock;
use putgate::config::{self, Config, Mistake};
use putgate::doctor::{Finding, Group, Patient, Report, Status, clean_up, examine};
use putgate::flow;
use tokio::signal::unix::{SignalKind, signal};

use super::{Done, Failure, connect, database, print, start, webhook};

pub(super) fn run(path: Option<&Path>, json: bool) -> Done {
    let config = match Config::load(path, &config::environment()) {
        Ok(config) => config,
        Err(mistakes) => {
            let mut report = Report::default();
            // A mistake's own words end with what to write.
            let of_each = |mistake: &Mistake| Finding {
                fix: None,
                ..Finding::fail(Group::Configuration, "mistake", mistake.to_string(), "")
            };
            report.add(mistakes.all().iter().map(of_each).collect());
            show(&report, json);
            return Err(Failure::wrong(
                "nothing was looked at: the configuration comes first",
            ));
        }
    };
    start(async move {
        let mut interrupt = signal(SignalKind::interrupt()).map_err(Failure::broken)?;
        let mut terminate = signal(SignalKind::terminate()).map_err(Failure::broken)?;
        let patient = Patient {
            database: database(&config, false),
            store: connect(&config).await,
            receiver: webhook::receiver(&config)
                .map_err(|failure| failure.message)
                .transpose(),
            run: flow::new_id(&Clock::System),
            config,
        };
        let report = tokio::select! {
            report = examine(&patient) => report,
            _ = interrupt.recv() => return stopped(&patient).await,
            _ = terminate.recv() => return stopped(&patient).await,
        };
        show(&report, json);
        match report.count(Status::Fail) {
            0 => Ok(()),
            failures => Err(Failure::broken(format!(
                "{} to be put right",
                super::count(failures, "thing has", "things have")
            ))),
        }
    })
}

/// Takes away what was written until a signal said stop.
async fn stopped(patient: &Patient) -> Done {
    let left = clean_up(patient).await;
    Err(Failure::broken(match left.first() {
        None => "stopped before the end; what was written is deleted again".to_owned(),
        Some(finding) => format!("stopped before the end; {}", finding.seen),
    }))
}

fn show(report: &Report, json: bool) {
    if json {
        print(&format!("{:#}", report.json()));
    } else {
        print(&report.text());
    }
}
