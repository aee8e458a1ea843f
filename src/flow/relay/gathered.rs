//! A file that comes in several requests, each with a `Content-Range`: what has arrived is
//! kept in staging between them, as parts of the ticket's multipart upload and, where a chunk
//! ends within a part, as *pieces*: objects beside it, named by the offset they begin at.
//!
//! What has arrived is asked of the store every time, so that any replica may take the next
//! chunk, and a chunk runs under the ticket's lease, so that no two are taken at once. What
//! breaks off within a chunk is not counted; the client sends it again.

use std::sync::Arc;
use std::time::Duration;

use bytes::BytesMut;
use tokio::runtime::Handle;
use tokio::time::Instant;

use super::super::complete::{Completed, complete};
use super::super::lease::Lease;
use super::super::{App, attempt, cancel, sign};
use super::{Arrival, PART, WAIT, filled, make_room, mint, put_together};
use crate::db::TicketFilter;
use crate::domain::caller::{Caller, Scope};
use crate::domain::dialect::{Dialect, Sending};
use crate::domain::disposition::clean_name;
use crate::domain::key;
use crate::domain::ledger::Began;
use crate::domain::name::{Ref, SlotName};
use crate::domain::problem::{Code, Problem};
use crate::domain::ticket::{State, Ticket};
use crate::store::{Bucket, Part, StoreError};

/// The smallest chunk but the last, and the least that is new in one that overlaps, in bytes:
/// what is new becomes an object, and a part is made of at most eighty of them.
pub const MIN_CHUNK: u64 = 64 * 1024;
/// How long a chunk waits while another one of its file is taken.
const PATIENCE: Duration = Duration::from_secs(15);
/// How often it looks.
const GLANCE: Duration = Duration::from_millis(100);
/// How many open tickets are searched for the one of a file.
const SEARCHED: usize = 1000;

/// `Content-Range: bytes first-last/total` (RFC 9110 §14.4), as a request states it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Range {
    /// The offset of the first byte.
    pub first: u64,
    /// The offset after the last.
    pub end: u64,
    /// The size of the whole file.
    pub total: u64,
}

impl Range {
    /// Reads the header's value; `None` when it is no range of known bytes.
    pub fn parse(text: &str) -> Option<Self> {
        let (range, total) = text.trim().strip_prefix("bytes ")?.split_once('/')?;
        let (first, last) = range.split_once('-')?;
        let number = |text: &str| {
            let digits = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
            digits.then(|| text.parse::<u64>().ok()).flatten()
        };
        let (first, last, total) = (number(first)?, number(last)?, number(total)?);
        let end = last.checked_add(1)?;
        (first < end && end <= total).then_some(Self { first, end, total })
    }
}

/// The open ticket of a file that comes in chunks: the newest of the caller's with its name,
/// and its size when that is known.
pub async fn find(
    app: &App,
    caller: &Caller,
    slot: &SlotName,
    reference: Option<&Ref>,
    name: &str,
    total: Option<u64>,
) -> Result<Option<Ticket>, Problem> {
    let filter = TicketFilter {
        tenant: caller.tenant.clone(),
        owner: Some(caller.owner.clone()),
        slots: Some(vec![slot.clone()]),
        reference: reference.cloned(),
        state: Some(State::Open),
        after: None,
    };
    let name = clean_name(name);
    let open = app.db.tickets(&filter, SEARCHED).await?.rows;
    Ok(open.into_iter().find(|ticket| {
        ticket.dialect.as_deref() == Some(Dialect::Form.as_str())
            && ticket.exact_size
            && ticket.reference.as_ref() == reference
            && ticket.name == name
            && total.is_none_or(|total| total == ticket.size)
    }))
}

/// How many bytes of a file have arrived.
pub async fn arrived(app: &App, ticket: &Ticket) -> Result<u64, Problem> {
    Ok(held(app, ticket).await?.arrived())
}

/// What staging has of a file.
#[derive(Debug, Default)]
struct Held {
    /// Whole parts, from the first on without a gap.
    parts: Vec<Part>,
    /// What follows them: pieces by their offset and size.
    pieces: Vec<(u64, u64)>,
    /// The size of the file, when it is one object already.
    whole: Option<u64>,
}

impl Held {
    /// Where the parts end.
    fn start(&self) -> u64 {
        self.parts.len() as u64 * PART
    }

    fn arrived(&self) -> u64 {
        let pieces = self.pieces.iter().map(|(_, size)| size);
        self.whole.unwrap_or(self.start() + pieces.sum::<u64>())
    }

    /// Of everything that is there, what follows without a gap. A piece that was taken into a
    /// part may still be there, and so may one that a broken chunk left.
    fn of(parts: Vec<Part>, mut pieces: Vec<(u64, u64)>) -> Self {
        let mut held = Self::default();
        for part in parts {
            let next = held.parts.len() + 1;
            if usize::try_from(part.number) == Ok(next) && part.size == PART {
                held.parts.push(part);
            }
        }
        pieces.sort_unstable();
        for (offset, size) in pieces {
            if offset == held.arrived() && size > 0 {
                held.pieces.push((offset, size));
            }
        }
        held
    }
}

async fn held(app: &App, ticket: &Ticket) -> Result<Held, Problem> {
    let parts = match &ticket.multipart_id {
        None => Vec::new(),
        Some(upload) => {
            let listed = app.store.list_parts(&key::staging(ticket.id), upload).await;
            match listed {
                Ok(parts) => parts,
                Err(StoreError::NoSuchUpload)
                    if attempt::is_whole(app, ticket, &key::staging(ticket.id)).await? =>
                {
                    return Ok(Held {
                        whole: Some(ticket.size),
                        ..Held::default()
                    });
                }
                // The store has dropped it; the file begins anew.
                Err(StoreError::NoSuchUpload) => {
                    attempt::forget_upload(app, ticket, upload).await?;
                    Vec::new()
                }
                Err(error) => return Err(error.into()),
            }
        }
    };
    let prefix = key::piece_prefix(ticket.id);
    let mut pieces = Vec::new();
    let mut after = None;
    loop {
        let page = app
            .store
            .list(Bucket::Staging, &prefix, after.as_deref(), 1000)
            .await?;
        let found = page.objects.iter();
        pieces.extend(found.filter_map(|o| Some((key::piece_offset(&o.key)?, o.size))));
        after = page.next;
        if after.is_none() {
            return Ok(Held::of(parts, pieces));
        }
    }
}

/// A chunk on its way. Dropping it before [`finish`](Self::finish) keeps what whole parts have
/// been sent on and gives the lease back.
#[derive(Debug)]
pub struct Chunk {
    app: Arc<App>,
    ticket: Ticket,
    lease: Option<Lease>,
    held: Held,
    upload: Option<String>,
    /// What the part that is being filled holds so far.
    buffer: BytesMut,
    /// The offset of the buffer's first byte.
    offset: u64,
    /// Bytes at the chunk's beginning that are here already.
    skip: u64,
    /// The offset after the chunk's last byte.
    end: u64,
}

/// What a chunk came to.
#[derive(Debug)]
pub enum Taken {
    /// More is to come: how many bytes are here.
    Partly(u64),
    /// It was the last.
    Whole(Completed),
}

impl Chunk {
    /// Finds the file's ticket, or mints one for its first chunk, and takes its lease.
    pub async fn begin(
        app: &Arc<App>,
        caller: &Caller,
        arrival: Arrival,
        range: Range,
    ) -> Result<Self, Problem> {
        caller.may(Scope::Upload)?;
        if range.end - range.first < MIN_CHUNK && range.end < range.total {
            let detail = format!(
                "Content-Range: a chunk has at least {MIN_CHUNK} bytes, unless it is the last"
            );
            return Err(Problem::invalid(detail));
        }
        let (slot, reference) = (&arrival.slot, arrival.reference.as_ref());
        let (name, total) = (&arrival.name, Some(range.total));
        let known = find(app, caller, slot, reference, name, total).await?;
        let ticket = match known {
            Some(ticket) if range.first > 0 => ticket,
            None if range.first > 0 => return Err(gap(0)),
            // Sent again from its beginning: another file may have the name now.
            known => {
                if let Some(known) = known {
                    cancel::end(app, &known).await?;
                }
                mint(app, caller, arrival, Sending::Gathered, total).await?
            }
        };
        let (ticket, lease) = take(app, &ticket).await?;
        let mut chunk = Self {
            app: Arc::clone(app),
            ticket,
            lease: Some(lease),
            held: Held::default(),
            upload: None,
            buffer: BytesMut::new(),
            offset: 0,
            skip: 0,
            end: range.end,
        };
        chunk.ticket = sign::renewed(app, chunk.ticket.clone()).await?;
        chunk.held = held(app, &chunk.ticket).await?;
        chunk.offset = chunk.held.arrived();
        if range.first > chunk.offset {
            return Err(gap(chunk.offset));
        }
        chunk.skip = chunk.offset - range.first;
        let fills = chunk.end >= chunk.held.start() + PART || chunk.end == chunk.ticket.size;
        let new = chunk.end.saturating_sub(chunk.offset);
        // The first of a part may be small: a chunk that broke off behind a part comes again.
        if !fills && !chunk.held.pieces.is_empty() && (1..MIN_CHUNK).contains(&new) {
            let detail = format!(
                "Content-Range: {} bytes have arrived, and a chunk brings at least {MIN_CHUNK} \
                 more, unless it is the last",
                chunk.offset
            );
            return Err(Problem::invalid(detail).with("arrived", chunk.offset));
        }
        if fills && chunk.held.whole.is_none() {
            chunk.take_pieces_in().await?;
        }
        Ok(chunk)
    }

    /// The part that this chunk fills begins with what earlier ones left.
    async fn take_pieces_in(&mut self) -> Result<(), Problem> {
        for (offset, size) in &self.held.pieces {
            self.check()?;
            let key = key::piece(self.ticket.id, *offset);
            let peek = self
                .app
                .store
                .head_bytes(Bucket::Staging, &key, *size, None)
                .await?;
            if peek.size != *size {
                return Err(StoreError::Changed.into());
            }
            self.buffer.extend_from_slice(&peek.bytes);
        }
        self.offset = self.held.start();
        Ok(())
    }

    fn check(&self) -> Result<(), StoreError> {
        self.lease.as_ref().map_or(Ok(()), Lease::check)
    }

    /// Takes the next bytes; returns when there is room for more. After an error the chunk is
    /// only good to be dropped.
    pub async fn push(&mut self, bytes: &[u8]) -> Result<(), Problem> {
        let known = usize::try_from(self.skip).map_or(bytes.len(), |skip| skip.min(bytes.len()));
        self.skip -= known as u64;
        let mut rest = &bytes[known..];
        if self.offset + (self.buffer.len() + rest.len()) as u64 > self.end {
            return Err(Problem::invalid(
                "the chunk is longer than its Content-Range",
            ));
        }
        while !rest.is_empty() {
            if self.offset + self.buffer.len() as u64 == self.held.start() + PART {
                self.send_part().await?;
            }
            let room = self.held.start() + PART - self.offset - self.buffer.len() as u64;
            let room = usize::try_from(room).unwrap_or(usize::MAX);
            let (now, later) = rest.split_at(room.min(rest.len()));
            make_room(&mut self.buffer, now.len());
            self.buffer.extend_from_slice(now);
            rest = later;
        }
        Ok(())
    }

    async fn send_part(&mut self) -> Result<(), Problem> {
        self.ticket = sign::renewed(&self.app, self.ticket.clone()).await?;
        let upload = match &self.upload {
            Some(upload) => upload.clone(),
            None => sign::upload_of(&self.app, &self.ticket).await?,
        };
        self.upload = Some(upload.clone());
        self.check()?;
        let number = u32::try_from(self.held.parts.len() + 1).unwrap_or(u32::MAX);
        let (bytes, room) = filled(&mut self.buffer);
        let staging = key::staging(self.ticket.id);
        let part = self
            .app
            .store
            .put_part(&staging, &upload, number, bytes)
            .await?;
        self.buffer = room();
        self.offset += part.size;
        self.held.parts.push(part);
        // They are in the part now. What stays is never read again, and cleaned with the rest.
        for (offset, _) in std::mem::take(&mut self.held.pieces) {
            let key = key::piece(self.ticket.id, offset);
            if let Err(error) = self.app.store.delete(Bucket::Staging, &key).await {
                tracing::warn!(ticket = %self.ticket.id, %error, "a piece stays in staging");
            }
        }
        Ok(())
    }

    /// The client has sent the whole chunk: keeps its rest, or puts the file together.
    pub async fn finish(mut self, caller: &Caller) -> Result<Taken, Problem> {
        let arrived = self.offset + self.buffer.len() as u64;
        if arrived < self.end {
            return Err(Problem::invalid(
                "the chunk is shorter than its Content-Range",
            ));
        }
        self.check()?;
        let staging = key::staging(self.ticket.id);
        if arrived < self.ticket.size {
            if self.offset + self.buffer.len() as u64 == self.held.start() + PART {
                self.send_part().await?;
            } else if !self.buffer.is_empty() {
                let key = key::piece(self.ticket.id, self.offset);
                let bytes = std::mem::take(&mut self.buffer).freeze();
                self.app.store.put(&key, bytes).await?;
            }
            self.release().await;
            return Ok(Taken::Partly(arrived));
        }
        if self.held.whole.is_some() {
            // Put together before, by a chunk whose answer was lost.
        } else if self.held.parts.is_empty() && self.upload.is_none() {
            let bytes = std::mem::take(&mut self.buffer).freeze();
            self.app.store.put(&staging, bytes).await?;
        } else {
            if !self.buffer.is_empty() {
                self.send_part().await?;
            }
            let upload = match self.upload.clone() {
                Some(upload) => upload,
                None => sign::upload_of(&self.app, &self.ticket).await?,
            };
            self.check()?;
            let size = self.ticket.size;
            put_together(&self.app, &staging, &upload, &self.held.parts, size).await?;
        }
        self.release().await;
        let done = complete(&self.app, caller, self.ticket.id, WAIT).await?;
        Ok(Taken::Whole(done))
    }

    async fn release(&mut self) {
        if self.lease.take().is_some() {
            attempt::release(&self.app, &self.ticket, "a chunk arrived").await;
        }
    }
}

impl Drop for Chunk {
    fn drop(&mut self) {
        if let (Some(lease), Ok(runtime)) = (self.lease.take(), Handle::try_current()) {
            let (app, ticket) = (Arc::clone(&self.app), self.ticket.clone());
            drop(lease);
            runtime.spawn(async move {
                attempt::release(&app, &ticket, "a chunk broke off").await;
            });
        }
    }
}

/// A chunk that begins after what is here.
fn gap(arrived: u64) -> Problem {
    let detail = format!("Content-Range: {arrived} bytes have arrived, the chunk must begin there");
    Problem::invalid(detail).with("arrived", arrived)
}

/// Takes the lease of a ticket, when whoever has it gives it back in time.
async fn take(app: &Arc<App>, ticket: &Ticket) -> Result<(Ticket, Lease), Problem> {
    let until = Instant::now() + PATIENCE;
    loop {
        let asked = Instant::now();
        match attempt::begin(app, ticket.id).await? {
            Began::Yours(ticket) => {
                let lease = Lease::keep(app, &ticket, asked);
                return Ok((*ticket, lease));
            }
            Began::Busy if Instant::now() < until => tokio::time::sleep(GLANCE).await,
            Began::Busy => {
                let detail = "another chunk of this file is on its way";
                return Err(Problem::new(Code::Busy, detail).with("retry_after", 5));
            }
            Began::Closed(ticket) => return Err(ticket.closed_problem()),
            Began::Unknown => return Err(Problem::not_found()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_content_range_has_known_bytes_within_the_file() {
        let range = |first, end, total| Some(Range { first, end, total });
        for (text, expected) in [
            ("bytes 0-399999/900000", range(0, 400_000, 900_000)),
            (
                "bytes 800000-899999/900000",
                range(800_000, 900_000, 900_000),
            ),
            ("bytes 0-0/1", range(0, 1, 1)),
            ("bytes 0-1/1", None),
            ("bytes 5-4/9", None),
            ("bytes */9", None),
            ("bytes 0-4/*", None),
            ("bytes -4/9", None),
            ("bytes +0-4/9", None),
            ("0-4/9", None),
            ("bytes 0-18446744073709551615/18446744073709551615", None),
        ] {
            assert_eq!(Range::parse(text), expected, "{text}");
        }
    }

    #[test]
    fn only_what_follows_without_a_gap_has_arrived() {
        let part = |number, size| Part {
            number,
            size,
            etag: String::new(),
        };
        let arrived = |parts: &[Part], pieces: &[(u64, u64)]| {
            Held::of(parts.to_vec(), pieces.to_vec()).arrived()
        };
        let one = [part(1, PART)];
        assert_eq!(arrived(&[], &[]), 0);
        assert_eq!(arrived(&one, &[]), PART);
        assert_eq!(
            arrived(&[part(2, PART)], &[]),
            0,
            "the first part is missing"
        );
        assert_eq!(arrived(&[part(1, PART - 1)], &[]), 0, "no part of ours");
        assert_eq!(arrived(&one, &[(PART + 5, 7), (PART, 5)]), PART + 12);
        assert_eq!(arrived(&one, &[(0, 100)]), PART, "taken into the part");
        assert_eq!(arrived(&one, &[(PART + 1, 7)]), PART, "a gap");
    }
}
