//! Asks the daemons of this machine whether they know the time.
//!
//! They listen on ports that only the machine's owner can give away, on the loopback address: so
//! what answers there is as trustworthy as the clock itself.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};

use periwinkle_core::limits;
use periwinkle_core::time_daemon::{Answer, chrony, ntp};
use periwinkle_core::wall::Source;
use tokio::net::UdpSocket;
use tokio::time::timeout;

use super::clock::{Clock, system_time};
use super::entropy;

/// Where the daemons are.
#[derive(Clone, Copy, Debug)]
pub struct TimeDaemons {
    chrony: SocketAddr,
    ntp: SocketAddr,
}

impl Default for TimeDaemons {
    fn default() -> TimeDaemons {
        let local = |port| SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        TimeDaemons {
            chrony: local(chrony::PORT),
            ntp: local(ntp::PORT),
        }
    }
}

impl TimeDaemons {
    /// Asks all of them, and tells the clock what they say. One that is not there says nothing at
    /// once; one that does not answer, after [`limits::CLOCK_ANSWER_WAIT_MAX`].
    ///
    /// Dropping the future leaves the rest untold.
    pub async fn ask(&self, clock: &Clock) {
        let (chrony, ntp) = tokio::join!(ask_chrony(self.chrony), ask_ntp(self.ntp));
        for (source, answer) in [(Source::Chrony, chrony), (Source::Ntp, ntp)] {
            clock.handle_mark(source, answer.and_then(Answer::mark));
        }
    }
}

async fn ask_chrony(daemon: SocketAddr) -> Option<Answer> {
    let number = u32::from_be_bytes(entropy::bytes().ok()?);
    let packet = exchange(daemon, &chrony::encode_question(number)).await?;
    chrony::parse_answer(&packet, number)
}

async fn ask_ntp(daemon: SocketAddr) -> Option<Answer> {
    let number = u64::from_be_bytes(entropy::bytes().ok()?);
    let packet = exchange(daemon, &ntp::encode_question(number)).await?;
    ntp::parse_answer(&packet, number, system_time())
}

/// One question and what comes back, if anything does in time.
async fn exchange(daemon: SocketAddr, question: &[u8]) -> Option<Vec<u8>> {
    let answer = timeout(
        limits::CLOCK_ANSWER_WAIT_MAX,
        send_and_receive(daemon, question),
    );
    answer.await.ok()?.ok()
}

/// From a socket of its own, which hears nobody but that daemon.
async fn send_and_receive(daemon: SocketAddr, question: &[u8]) -> io::Result<Vec<u8>> {
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await?;
    socket.connect(daemon).await?;
    socket.send(question).await?;
    let mut packet = vec![0; question.len()];
    let length = socket.recv(&mut packet).await?;
    packet.truncate(length);
    Ok(packet)
}

#[cfg(test)]
pub(crate) mod tests {
    use std::path::Path;

    use periwinkle_core::time::UnixMillis;

    use super::*;

    impl TimeDaemons {
        /// Two daemons that are not there, where nobody listens.
        pub(crate) fn nowhere() -> TimeDaemons {
            let port = SocketAddr::from((Ipv4Addr::LOCALHOST, 9));
            TimeDaemons {
                chrony: port,
                ntp: port,
            }
        }

        /// A chrony that is in time, instead of the one there.
        pub(crate) async fn with_chrony(self) -> TimeDaemons {
            let (socket, chrony) = listening().await;
            tokio::spawn(async move {
                let mut question = [0; chrony::PACKET_BYTES];
                while let Ok((_, client)) = socket.recv_from(&mut question).await {
                    let answer = in_time(&question, system_time());
                    let _ = socket.send_to(&answer, client).await;
                }
            });
            TimeDaemons { chrony, ..self }
        }
    }

    async fn listening() -> (UdpSocket, SocketAddr) {
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await;
        let socket = socket.expect("a port is free");
        let address = socket.local_addr().expect("it has one");
        (socket, address)
    }

    /// What chrony answers when it last heard of its server at `heard`.
    fn in_time(question: &[u8], heard: UnixMillis) -> [u8; chrony::PACKET_BYTES] {
        let mut packet = [0; chrony::PACKET_BYTES];
        packet[..2].copy_from_slice(&[6, 2]);
        packet[4..8].copy_from_slice(&[0, 33, 0, 5]);
        packet[16..20].copy_from_slice(&question[8..12]);
        packet[28..32].copy_from_slice(&[192, 0, 2, 1]);
        packet[53] = 2;
        let seconds = u64::try_from(heard.0 / 1000).expect("it is after 1970");
        packet[56..64].copy_from_slice(&seconds.to_be_bytes());
        packet
    }

    /// What NTP's answer is made of: the question's number, and the time that is served.
    fn served(question: &[u8], system: UnixMillis) -> [u8; ntp::PACKET_BYTES] {
        let seconds = u32::try_from(system.0 / 1000 + 2_208_988_800).expect("it is before 2036");
        let mut packet = [0; ntp::PACKET_BYTES];
        packet[..2].copy_from_slice(&[0x24, 2]);
        packet[12..16].copy_from_slice(&[192, 0, 2, 1]);
        packet[16..20].copy_from_slice(&(seconds - 1).to_be_bytes());
        packet[24..32].copy_from_slice(&question[40..48]);
        packet[32..36].copy_from_slice(&seconds.to_be_bytes());
        packet[40..44].copy_from_slice(&seconds.to_be_bytes());
        packet
    }

    fn clock() -> Clock {
        Clock::alone(Path::new("/nonexistent"))
    }

    fn confirmed_by(clock: &Clock) -> Option<Source> {
        clock.confirmation().map(|last| last.source)
    }

    #[tokio::test]
    async fn a_chrony_that_is_in_time_confirms_it() {
        let clock = clock();
        let daemons = TimeDaemons::nowhere().with_chrony().await;
        daemons.ask(&clock).await;
        assert_eq!(confirmed_by(&clock), Some(Source::Chrony));
        assert!(clock.now().trusted);
    }

    #[tokio::test]
    async fn an_ntp_daemon_that_is_in_time_confirms_it() {
        let (socket, ntp) = listening().await;
        tokio::spawn(async move {
            let mut question = [0; ntp::PACKET_BYTES];
            let (_, client) = socket.recv_from(&mut question).await.expect("it is asked");
            let answer = served(&question, system_time());
            socket.send_to(&answer, client).await.expect("it is sent");
        });
        let clock = clock();
        let daemons = TimeDaemons {
            ntp,
            ..TimeDaemons::nowhere()
        };
        daemons.ask(&clock).await;
        assert_eq!(confirmed_by(&clock), Some(Source::Ntp));
    }

    #[tokio::test]
    async fn an_answer_to_another_question_says_nothing() {
        let (socket, chrony) = listening().await;
        tokio::spawn(async move {
            let mut question = [0; chrony::PACKET_BYTES];
            let (_, client) = socket.recv_from(&mut question).await.expect("it is asked");
            question[8] ^= 1;
            let answer = in_time(&question, system_time());
            socket.send_to(&answer, client).await.expect("it is sent");
        });
        let clock = clock();
        let daemons = TimeDaemons {
            chrony,
            ..TimeDaemons::nowhere()
        };
        daemons.ask(&clock).await;
        assert_eq!(confirmed_by(&clock), None);
    }

    #[tokio::test(start_paused = true)]
    async fn a_daemon_that_keeps_silent_is_not_waited_for_long() {
        let (_socket, silent) = listening().await;
        let daemons = TimeDaemons {
            chrony: silent,
            ntp: silent,
        };
        let clock = clock();
        let begun = tokio::time::Instant::now();
        daemons.ask(&clock).await;
        let waited = begun.elapsed();
        assert!(waited >= limits::CLOCK_ANSWER_WAIT_MAX, "{waited:?}");
        assert!(waited < 2 * limits::CLOCK_ANSWER_WAIT_MAX, "{waited:?}");
        assert_eq!(confirmed_by(&clock), None);
    }
}
