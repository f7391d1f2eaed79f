//! What happens on the way to S3, and what passed.

use super::{Fate, FaultProxy, Faults, Refusal, Request};

/// A proxy in front of S3.
pub type S3Proxy = FaultProxy<S3>;

/// What happens to the requests of now.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Weather {
    /// They pass.
    #[default]
    Fair,
    /// Every third is refused because there were too many.
    Busy,
    /// Of every seven one is lost, of one the answer, and one is cut in its middle.
    Storm,
    /// A byte of each answer to `GET` is another one, far from its head.
    Fog,
    /// Nothing passes.
    Night,
}

#[derive(Debug, Default)]
pub struct S3 {
    weather: Weather,
    requests: usize,
    /// The first line of each request whose head came.
    begun: Vec<String>,
    /// The same of each that S3 has done.
    done: Vec<String>,
}

impl S3Proxy {
    pub fn set(&self, weather: Weather) {
        self.faults().weather = weather;
    }

    /// How many parts S3 has taken.
    pub fn parts_done(&self) -> usize {
        let faults = self.faults();
        faults.done.iter().filter(|line| is_part(line)).count()
    }

    /// The objects that S3 has taken in one request, in their order.
    pub fn puts_done(&self) -> Vec<String> {
        let faults = self.faults();
        let puts = faults.done.iter().filter(|line| line.starts_with("PUT "));
        puts.cloned().collect()
    }

    /// How many parts were sent, whether they came through or not.
    pub fn parts_begun(&self) -> usize {
        let faults = self.faults();
        faults.begun.iter().filter(|line| is_part(line)).count()
    }

    /// How many requests of this method, with this in their address, were sent.
    pub fn count(&self, method: &str, part: &str) -> usize {
        let faults = self.faults();
        let fits = |line: &&String| line.starts_with(method) && line.contains(part);
        faults.begun.iter().filter(fits).count()
    }
}

fn is_part(line: &str) -> bool {
    line.starts_with("PUT ") && line.contains("partNumber=")
}

fn first_line(head: &str) -> &str {
    head.lines().next().unwrap_or_default()
}

const SLOW_DOWN: Refusal = Refusal {
    status: "503 Slow Down",
    content_type: "application/xml",
    body: "<?xml version=\"1.0\"?><Error><Code>SlowDown</Code>\
           <Message>Please reduce your request rate.</Message></Error>",
};

impl Faults for S3 {
    fn fate(&mut self, head: &mut String) -> Fate {
        self.requests += 1;
        self.begun.push(first_line(head).to_owned());
        match (self.weather, self.requests % 7) {
            (Weather::Night, _) | (Weather::Storm, 5) => Fate::Lost,
            (Weather::Storm, 1) => Fate::Cut,
            (Weather::Storm, 3) => Fate::LostReply,
            (Weather::Fog, _) if head.starts_with("GET ") => Fate::GarbledReply,
            (Weather::Busy, _) if self.requests.is_multiple_of(3) => Fate::Refused(SLOW_DOWN),
            _ => Fate::Pass,
        }
    }

    fn answered(&mut self, request: &Request, reply: &[u8]) {
        if reply.starts_with(b"HTTP/1.1 20") {
            self.done.push(first_line(&request.head).to_owned());
        }
    }
}
