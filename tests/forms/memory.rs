//! What a large file costs the process that relays it.

use std::io::Write;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::process::{Server, Site};
use crate::{BOUNDARY, Part, form};

const MIB: usize = 1024 * 1024;
const GIB: u64 = 1024 * 1024 * 1024;

/// `VmHWM` of a process in KiB: the most memory it ever held.
fn most_memory(server: &Server) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", server.pid())).unwrap();
    let line = status
        .lines()
        .find(|line| line.starts_with("VmHWM:"))
        .unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

/// Posts a file of so many zeros, as fast as it goes; answers what came back.
async fn post_zeros(server: &Server, token: &str, size: u64) -> String {
    let address = server.url.strip_prefix("http://").unwrap();
    let mut stream = TcpStream::connect(address).await.unwrap();
    let whole = form(&[Part(
        "f",
        Some(("zeros.bin", "application/octet-stream")),
        b"",
    )]);
    let (head, end) = whole.split_at(whole.len() - format!("\r\n--{BOUNDARY}--\r\n").len());
    let request = format!(
        "POST /u/zeros/{token}/form HTTP/1.1\r\nhost: x\r\nconnection: close\r\naccept: application/json\r\n\
         content-type: multipart/form-data; boundary={BOUNDARY}\r\ncontent-length: {}\r\n\r\n",
        whole.len() as u64 + size
    );
    stream.write_all(request.as_bytes()).await.unwrap();
    stream.write_all(head).await.unwrap();
    let zeros = vec![0; MIB];
    let mut left = size;
    while left > 0 {
        let now = left.min(zeros.len() as u64);
        stream
            .write_all(&zeros[..usize::try_from(now).unwrap()])
            .await
            .unwrap();
        left -= now;
    }
    stream.write_all(end).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    answer
}

/// Idle is a process that has done all of this once, for a small file: `VmHWM` counts the pages
/// of the program itself that were read in, and in a debug build those are many.
#[tokio::test(flavor = "multi_thread")]
async fn a_file_of_a_gibibyte_costs_less_than_16_mib_above_idle() {
    let dir = tempfile::tempdir().unwrap();
    let store = crate::common::devstore(dir.path()).await;
    let site = Site::new(dir, &store.url());
    site.write("[slots.zeros]\nmax_file_size = \"2GiB\"\nmax_entries = 9\ndialects = [\"form\"]\n");
    let server = site.serve();
    let token = site.token("7");
    let fresh = most_memory(&server);
    let small = post_zeros(&server, &token, 1000).await;
    assert!(small.starts_with("HTTP/1.1 200"), "{small}");
    let idle = most_memory(&server);
    let posted = tokio::time::timeout(Duration::from_mins(10), post_zeros(&server, &token, GIB));
    let answer = posted.await.unwrap();
    let most = most_memory(&server);
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    assert!(answer.contains("\"url\""), "{answer}");
    let committed = store.objects("files");
    let sum: u64 = committed.iter().map(|(_, size)| size).sum();
    assert_eq!(sum, GIB + 1000, "{committed:?}");
    let above = most - idle;
    let mut out = std::io::stderr().lock();
    let _ = writeln!(
        out,
        "relay: 1 GiB: VmHWM {most} KiB, {above} KiB above idle, {} above a start",
        most - fresh
    );
    assert!(above < 16 * 1024, "{above} KiB above {idle} KiB");
}
