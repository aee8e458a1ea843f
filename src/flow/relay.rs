//! Relay: what a client posts to this server goes on into staging as it comes, and then the
//! same way as every other upload. Of a file at most one part is in memory, and only so many
//! are relayed at once.
//!
//! A relay that breaks off, for whatever reason, cancels its ticket: the reservation is free
//! at once and staging is cleaned. One that was killed leaves a ticket that lives a few
//! minutes, and the worker does the same.

pub mod gathered;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use serde_json::{Map, Value};
use tokio::runtime::Handle;

use super::complete::{Completed, complete};
use super::mint::{self, Wish};
use super::{App, cancel, sign};
use crate::domain::caller::Caller;
use crate::domain::dialect::{Dialect, Sending};
use crate::domain::key;
use crate::domain::name::{Owner, Ref, SlotName, Tenant};
use crate::domain::problem::{Code, Problem};
use crate::domain::slot::MIN_PART_SIZE;
use crate::domain::ticket::Ticket;
use crate::store::{Bucket, Part, StoreError};

/// The size of the parts that are sent on, in bytes: the smallest S3 takes, since one of them
/// is held in memory for each file on its way.
const PART: u64 = MIN_PART_SIZE;
/// What a file's buffer may hold before it gets the size of a part, in bytes.
const SMALL: usize = 512 * 1024;
/// How long a commit is waited for, in seconds.
const WAIT: u32 = 60;
/// How many requests are relayed at once, each with at most a part of 5 MiB in memory.
const AT_ONCE: usize = 16;
/// How many of them one owner may hold: as many as a browser has connections to one host
/// (HTTP/1.1), so that a page may send all its files at once, and not so many that a slow or
/// hostile one keeps everybody else out.
const EACH: usize = 6;

/// How much is relayed, and for how slow a client.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Requests at once.
    pub at_once: usize,
    /// Of these, one owner's.
    pub each: usize,
    /// How long a client may send nothing.
    pub patience: Duration,
    /// How long a client may be waited for until its pace is looked at.
    pub minute: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            at_once: AT_ONCE,
            each: EACH,
            patience: Duration::from_secs(30),
            minute: Duration::from_mins(1),
        }
    }
}

/// The places of all relays of a process.
#[derive(Debug)]
pub struct Relays {
    taken: Arc<Mutex<Taken>>,
    /// As they were given.
    pub limits: Limits,
}

/// How many places each owner holds; who holds none is not listed.
type Taken = HashMap<(Tenant, Owner), usize>;

fn lock(taken: &Mutex<Taken>) -> MutexGuard<'_, Taken> {
    taken.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Relays {
    /// As many places as the limits say.
    pub fn new(limits: Limits) -> Self {
        Self {
            taken: Arc::default(),
            limits,
        }
    }

    /// A place for one request. Who finds none is told to come back: waiting here would hold
    /// a connection full of bytes.
    pub fn enter(&self, caller: &Caller) -> Result<Place, Problem> {
        let holder = (caller.tenant.clone(), caller.owner.clone());
        let Limits { at_once, each, .. } = self.limits;
        let mut taken = lock(&self.taken);
        let detail = if taken.values().sum::<usize>() >= at_once {
            "as many uploads as this server takes at once are on their way".to_owned()
        } else if taken.get(&holder).is_some_and(|own| *own >= each) {
            format!("{each} uploads of the same owner are on their way, which is all at once")
        } else {
            *taken.entry(holder.clone()).or_default() += 1;
            return Ok(Place {
                taken: Arc::clone(&self.taken),
                holder,
            });
        };
        Err(Problem::new(Code::Busy, detail).with("retry_after", 5))
    }
}

/// A request's place among the relays, until it is dropped.
#[derive(Debug)]
pub struct Place {
    taken: Arc<Mutex<Taken>>,
    holder: (Tenant, Owner),
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut taken = lock(&self.taken);
        if let Some(own) = taken.get_mut(&self.holder) {
            *own -= 1;
            if *own == 0 {
                taken.remove(&self.holder);
            }
        }
    }
}

/// A file that a client begins to post.
#[derive(Clone, Debug)]
pub struct Arrival {
    /// The slot.
    pub slot: SlotName,
    /// The app object.
    pub reference: Option<Ref>,
    /// Through which dialect.
    pub dialect: Dialect,
    /// Its name.
    pub name: String,
    /// Its media type, as the client says.
    pub media_type: Option<String>,
    /// The app's own words.
    pub metadata: Map<String, Value>,
}

/// Mints the ticket of a file that is relayed, of this size or of an unknown one.
async fn mint(
    app: &App,
    caller: &Caller,
    arrival: Arrival,
    sending: Sending,
    size: Option<u64>,
) -> Result<Ticket, Problem> {
    let request = mint::Request {
        slot: arrival.slot,
        reference: arrival.reference,
        owner: None,
        files: vec![Wish {
            name: arrival.name,
            size: size.map(|size| i64::try_from(size).unwrap_or(i64::MAX)),
            media_type: arrival.media_type,
            sha256: None,
            metadata: arrival.metadata,
        }],
        dialect: Some(arrival.dialect),
        sending,
        idempotency: None,
    };
    let minted = mint::mint(app, caller, request).await?.files.pop();
    minted
        .unwrap_or_else(|| Err(Problem::not_found()))
        .map(|ready| ready.ticket)
}

/// A file on its way through this server. Dropping it before [`finish`](Self::finish) gives
/// the ticket up.
#[derive(Debug)]
pub struct Relay {
    app: Arc<App>,
    ticket: Ticket,
    /// Bytes of the part that is being filled.
    buffer: BytesMut,
    upload: Option<String>,
    parts: Vec<Part>,
    /// Bytes in `parts`.
    sent: u64,
    is_over: bool,
}

impl Relay {
    /// Mints a ticket for a file of unknown size: it reserves the slot's largest, or `at_most`
    /// when the request itself is smaller.
    pub async fn begin(
        app: &Arc<App>,
        caller: &Caller,
        arrival: Arrival,
        at_most: Option<u64>,
    ) -> Result<Self, Problem> {
        let sending = Sending::Relayed(at_most.unwrap_or(u64::MAX).max(1));
        let ticket = mint(app, caller, arrival, sending, None).await?;
        Ok(Self {
            app: Arc::clone(app),
            ticket,
            buffer: BytesMut::new(),
            upload: None,
            parts: Vec::new(),
            sent: 0,
            is_over: false,
        })
    }

    /// Takes the next bytes; returns when there is room for more. After an error the relay is
    /// only good to be dropped.
    pub async fn push(&mut self, bytes: &[u8]) -> Result<(), Problem> {
        let arrived = self.sent + (self.buffer.len() + bytes.len()) as u64;
        if arrived > self.ticket.size {
            let limit = self.ticket.size;
            let detail = format!("more than {limit} bytes, which is all the slot takes");
            return Err(Problem::new(Code::FileTooLarge, detail).with("limit", limit));
        }
        let mut rest = bytes;
        while !rest.is_empty() {
            // A full part waits for the first byte after it: the last one goes another way.
            if self.buffer.len() as u64 == PART {
                self.send_part().await?;
            }
            let room = usize::try_from(PART).unwrap_or(usize::MAX) - self.buffer.len();
            let (now, later) = rest.split_at(room.min(rest.len()));
            make_room(&mut self.buffer, now.len());
            self.buffer.extend_from_slice(now);
            rest = later;
        }
        Ok(())
    }

    async fn send_part(&mut self) -> Result<(), Problem> {
        self.renew().await?;
        let upload = match &self.upload {
            Some(upload) => upload.clone(),
            None => sign::upload_of(&self.app, &self.ticket).await?,
        };
        self.upload = Some(upload.clone());
        let (bytes, room) = filled(&mut self.buffer);
        let number = u32::try_from(self.parts.len() + 1).unwrap_or(u32::MAX);
        let staging = key::staging(self.ticket.id);
        let put = self.app.store.put_part(&staging, &upload, number, bytes);
        let part = put.await?;
        self.sent += part.size;
        self.parts.push(part);
        self.buffer = room();
        Ok(())
    }

    /// Keeps the ticket alive, and finds out whether somebody closed it meanwhile.
    async fn renew(&mut self) -> Result<(), Problem> {
        self.ticket = sign::renewed(&self.app, self.ticket.clone()).await?;
        Ok(())
    }

    /// The client has sent everything: puts the object together, then lets the flow of every
    /// upload judge it.
    pub async fn finish(mut self, caller: &Caller) -> Result<Completed, Problem> {
        let staging = key::staging(self.ticket.id);
        let whole = self.sent + self.buffer.len() as u64;
        if self.upload.is_none() {
            let bytes = std::mem::take(&mut self.buffer).freeze();
            self.app.store.put(&staging, bytes).await?;
        } else {
            self.send_part().await?;
            let upload = self.upload.clone().unwrap_or_default();
            put_together(&self.app, &staging, &upload, &self.parts, whole).await?;
        }
        // From here on the bytes are there, and the ticket takes care of itself.
        self.is_over = true;
        complete(&self.app, caller, self.ticket.id, WAIT).await
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        if !self.is_over {
            give_up(&self.app, &self.ticket);
        }
    }
}

/// Cancels a ticket in the background; its bytes are removed after.
fn give_up(app: &Arc<App>, ticket: &Ticket) {
    let (app, ticket) = (Arc::clone(app), ticket.clone());
    // A runtime that is going away leaves it to the worker of the next process.
    let Ok(runtime) = Handle::try_current() else {
        return;
    };
    runtime.spawn(async move {
        if let Err(error) = cancel::end(&app, &ticket).await {
            tracing::warn!(ticket = %ticket.id, %error, "a relay's ticket stays open until it expires");
        }
    });
}

/// Makes room for so many bytes more: a small file takes what it needs, a larger one the
/// memory of a part, once.
fn make_room(buffer: &mut BytesMut, more: usize) {
    let part = usize::try_from(PART).unwrap_or(usize::MAX);
    if buffer.len() + more > SMALL && buffer.capacity() < part {
        buffer.reserve(part - buffer.len());
    }
}

/// The bytes of a full buffer, and how to get its memory back once nobody else has them.
fn filled(buffer: &mut BytesMut) -> (Bytes, impl FnOnce() -> BytesMut + use<>) {
    let bytes = std::mem::take(buffer).freeze();
    let own = bytes.clone();
    let room = move || match own.try_into_mut() {
        Ok(mut memory) => {
            memory.clear();
            memory
        }
        Err(_) => BytesMut::new(),
    };
    (bytes, room)
}

/// Completes a multipart upload of `size` bytes. When the answer is lost, the object tells.
async fn put_together(
    app: &App,
    staging: &str,
    upload: &str,
    parts: &[Part],
    size: u64,
) -> Result<(), StoreError> {
    match app.store.complete_multipart(staging, upload, parts).await {
        Err(error @ (StoreError::Unavailable(_) | StoreError::NoSuchUpload)) => {
            match app.store.head(Bucket::Staging, staging).await? {
                Some((found, _)) if found == size => Ok(()),
                _ => Err(error),
            }
        }
        done => done,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_memory_of_a_part_is_taken_once_and_used_again() {
        let mut buffer = BytesMut::new();
        let mut place = None;
        for _ in 0..3 {
            for size in [1000, 2000, 2000, SMALL] {
                make_room(&mut buffer, size);
                buffer.extend_from_slice(&vec![7; size]);
            }
            assert_eq!(buffer.capacity() as u64, PART);
            assert_eq!(*place.get_or_insert(buffer.as_ptr()), buffer.as_ptr());
            let (bytes, room) = filled(&mut buffer);
            assert_eq!(bytes.len(), SMALL + 5000);
            drop(bytes);
            buffer = room();
            assert!(buffer.is_empty());
        }
    }
}
