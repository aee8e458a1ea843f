//! Audit: laws 1, 2, 4 and 5 on a live system, read-only. What looks wrong is read again
//! before it is reported, since the system moves meanwhile.

use super::App;
use crate::domain::books::{Account, counted};
use crate::domain::problem::Problem;
use crate::domain::slot::OnFull;
use crate::flow::sweep::{Swept, walk_page};
use crate::store::Bucket;

/// What an audit found wrong, a sentence each, and what it looked at.
#[derive(Clone, Debug, Default)]
pub struct Report {
    /// Laws that are broken.
    pub violations: Vec<String>,
    /// Objects that the next sweep removes: no violation.
    pub debris: usize,
    /// Objects that no row knows: a human's decision.
    pub unknown: Vec<String>,
    /// Accounts above the bounds that their slot has today, by what an earlier
    /// configuration allowed: no violation.
    pub above_today: Vec<String>,
    /// Live files looked at.
    pub files: usize,
}

/// Checks the laws.
pub async fn audit(app: &App) -> Result<Report, Problem> {
    let mut report = Report::default();
    law_1(app, &mut report).await?;
    law_2(app, &mut report).await?;
    law_4(app, &mut report).await?;
    let since = app.db.now().minus(app.retention);
    for id in app.db.untold_endings(since).await? {
        report.violations.push(format!(
            "law 5: ticket {id} ended without the event that says so"
        ));
    }
    Ok(report)
}

/// A live file's object exists with its size and `ETag`.
async fn law_1(app: &App, report: &mut Report) -> Result<(), Problem> {
    let mut after = None;
    loop {
        let files = app.db.live_files(after, 500).await?;
        let Some(last) = files.last() else {
            return Ok(());
        };
        after = Some(last.id);
        for file in files {
            report.files += 1;
            let found = app.store.head(Bucket::Files, &file.key).await?;
            if found == Some((file.size, file.etag.clone())) {
                continue;
            }
            let still_live = app.db.file(file.id).await?.is_some_and(|f| f.is_live());
            if still_live {
                let seen = match found {
                    None => "no object".to_owned(),
                    Some((size, etag)) => format!("{size} bytes with ETag {etag}"),
                };
                report.violations.push(format!(
                    "law 1: {} should be {} bytes with ETag {}, the store has {seen}",
                    file.key, file.size, file.etag
                ));
            }
        }
    }
}

/// Every object has a row that explains it.
async fn law_2(app: &App, report: &mut Report) -> Result<(), Problem> {
    for bucket in [Bucket::Staging, Bucket::Files] {
        let mut after = None;
        loop {
            let mut swept = Swept::default();
            after = walk_page(app, bucket, after.as_deref(), true, &mut swept).await?;
            report.debris += swept.deleted.len();
            report.unknown.extend(
                swept
                    .unknown
                    .into_iter()
                    .map(|(b, key)| format!("{b}: {key}")),
            );
            if after.is_none() {
                break;
            }
        }
    }
    Ok(())
}

/// The usage rows are what tickets and files add up to, and within the slots' bounds.
async fn law_4(app: &App, report: &mut Report) -> Result<(), Problem> {
    let first = app.db.miscounted().await?;
    if !first.is_empty() {
        // One statement sees one moment, so a repetition is no coincidence of timing but
        // may be of a repair; report what both saw.
        let again = app.db.miscounted().await?;
        for wrong in first.into_iter().filter(|wrong| again.contains(wrong)) {
            report.violations.push(format!(
                "law 4: {} adds up to {:?}, its usage row says {:?}",
                wrong.account, wrong.rows, wrong.usage
            ));
        }
    }
    let slots = app.slots.load();
    let mut after = String::new();
    loop {
        let held = app.db.accounts(&after, 1000).await?;
        let Some(last) = held.last() else {
            return Ok(());
        };
        after.clone_from(&last.account);
        for account in held {
            let Some(parts) = Account::parts(&account.account) else {
                report
                    .violations
                    .push(format!("law 4: {} is no account", account.account));
                continue;
            };
            let slot = parts.get(2).cloned().flatten();
            let slot = slot.and_then(|name| slots.values().find(|slot| slot.name.as_str() == name));
            let Some(policy) = slot.map(|slot| &slot.policy) else {
                continue;
            };
            let usage = account.usage;
            let (entries, bytes) = match policy.on_full {
                OnFull::Reject => (usage.entries(), usage.bytes()),
                OnFull::Replace => (
                    usage.open.max(usage.files),
                    usage.reserved.max(usage.stored),
                ),
            };
            let (max_entries, max_bytes) = match &parts[..] {
                [_, Some(_), Some(_), Some(_)] => (Some(policy.max_entries), None),
                [_, Some(_), Some(_)] => (None, policy.quota),
                [_, None, Some(_)] => (policy.per_tenant.max_entries, policy.per_tenant.quota),
                _ => (None, None),
            };
            let over_entries = max_entries.is_some_and(|max| entries > i64::from(max));
            let over_bytes = max_bytes.is_some_and(|max| bytes > counted(max));
            if !over_entries && !over_bytes {
                continue;
            }
            let sentence = format!(
                "law 4: {} holds {entries} entries and {bytes} bytes, the slot allows {} and {}",
                account.account,
                max_entries.map_or("any".to_owned(), |max| max.to_string()),
                max_bytes.map_or("any".to_owned(), |max| max.to_string()),
            );
            if was_allowed(app, &parts, entries, bytes).await? {
                report.above_today.push(sentence);
            } else {
                report.violations.push(sentence);
            }
        }
    }
}

/// Whether a policy that one of the account's tickets carries allowed what it holds: the
/// slot was made smaller since.
async fn was_allowed(
    app: &App,
    parts: &[Option<String>],
    entries: i64,
    bytes: i64,
) -> Result<bool, Problem> {
    let [Some(tenant), owner, Some(slot), ..] = parts else {
        return Ok(false);
    };
    let policies = app.db.policies(tenant, owner.as_deref(), slot).await?;
    Ok(policies.iter().any(|policy| {
        let (max_entries, max_bytes) = match parts {
            [_, _, _, _] => (Some(policy.max_entries), None),
            [_, Some(_), _] => (None, policy.quota),
            _ => (policy.per_tenant.max_entries, policy.per_tenant.quota),
        };
        max_entries.is_none_or(|max| entries <= i64::from(max))
            && max_bytes.is_none_or(|max| bytes <= counted(max))
    }))
}
