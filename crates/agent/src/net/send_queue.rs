//! What the system holds of a TCP connection's bytes, because the other end has not acknowledged
//! them: up to megabytes, which a slow line takes minutes for.

use std::fs::File;
use std::io::{self, Read};
use std::net::{IpAddr, SocketAddr};
use std::path::Path;

use periwinkle_core::limits;
use tokio::task::spawn_blocking;

/// The bytes that wait between these two addresses; `None` where the system does not tell.
pub(super) async fn bytes(here: SocketAddr, there: SocketAddr) -> Option<u64> {
    let path = match here {
        SocketAddr::V4(_) => "/proc/net/tcp",
        SocketAddr::V6(_) => "/proc/net/tcp6",
    };
    let table = spawn_blocking(move || read(Path::new(path))).await;
    let table = table.ok()?.ok()?;
    find(&table, here, there)
}

fn read(path: &Path) -> io::Result<String> {
    let mut table = String::new();
    let file = File::open(path)?;
    file.take(limits::SOCKET_TABLE_BYTES_MAX)
        .read_to_string(&mut table)?;
    Ok(table)
}

/// The length of the send queue in the line of a connection (proc_net_tcp of the kernel's
/// documentation).
fn find(table: &str, here: SocketAddr, there: SocketAddr) -> Option<u64> {
    let (here, there) = (in_table(here), in_table(there));
    table.lines().find_map(|line| {
        let mut columns = line.split_ascii_whitespace().skip(1);
        let is_it = columns.next()? == here && columns.next()? == there;
        let (queued, _) = columns.nth(1).filter(|_| is_it)?.split_once(':')?;
        u64::from_str_radix(queued, 16).ok()
    })
}

/// An address as the table has it: words as they lie in memory, then the port.
fn in_table(address: SocketAddr) -> String {
    let words = match address.ip() {
        IpAddr::V4(address) => vec![u32::from_ne_bytes(address.octets())],
        IpAddr::V6(address) => {
            let octets = address.octets();
            let (words, _) = octets.as_chunks::<4>();
            words.iter().copied().map(u32::from_ne_bytes).collect()
        }
    };
    let words: String = words.iter().map(|word| format!("{word:08X}")).collect();
    format!("{words}:{:04X}", address.port())
}

#[cfg(test)]
mod tests {
    use tokio::io::AsyncReadExt;
    use tokio::net::{TcpListener, TcpStream};

    use super::*;

    async fn pair(address: &str) -> (TcpStream, TcpStream) {
        let listener = TcpListener::bind(address)
            .await
            .expect("loopback has ports");
        let address = listener.local_addr().expect("it is bound");
        let near = TcpStream::connect(address).await.expect("it listens");
        let (far, _) = listener.accept().await.expect("we connected");
        (near, far)
    }

    #[tokio::test]
    async fn what_the_other_end_has_not_taken_is_told() {
        for address in ["127.0.0.1:0", "[::1]:0"] {
            let (near, mut far) = pair(address).await;
            let here = near.local_addr().expect("it is connected");
            let there = near.peer_addr().expect("it is connected");
            let queued = || async { bytes(here, there).await.expect("it is in the table") };
            assert_eq!(queued().await, 0);
            let mut written = 0;
            while let Ok(more) = near.try_write(&[0; 65_536]) {
                written += more;
            }
            let full = queued().await;
            assert!(full > 0 && full <= written as u64, "{full} of {written}");
            let mut all = vec![0; written];
            far.read_exact(&mut all).await.expect("it was written");
            // The last acknowledgement may be on its way.
            while queued().await > 0 {
                tokio::task::yield_now().await;
            }
        }
    }

    #[test]
    fn the_table_is_read_to_its_bound_and_not_beyond() {
        let folder = tempfile::tempdir().expect("a folder for the test");
        let path = folder.path().join("tcp");
        let file = File::create(&path).expect("it is ours");
        let max = limits::SOCKET_TABLE_BYTES_MAX;
        for (length, expected) in [(max, max), (max + 1, max)] {
            file.set_len(length).expect("it is ours");
            let table = read(&path).expect("it is there");
            assert_eq!(table.len() as u64, expected);
        }
    }

    #[tokio::test]
    async fn a_connection_that_is_not_there_is_not_told_of() {
        let address = "192.0.2.1:1".parse().expect("it is one");
        assert_eq!(bytes(address, address).await, None);
        assert_eq!(find("nonsense\n a b\n", address, address), None);
    }
}
