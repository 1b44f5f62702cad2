//! Finds the addresses of a host's name: `/etc/hosts`, then the name servers of `/etc/resolv.conf`.
//!
//! Enters: a name and a deadline. Leaves: addresses, the better ones first. Refuses: answers to a question that was not asked. Search domains are not tried:
//! endpoints have whole names. Sources: RFC 1035, resolv.conf(5).
//!
//! The C library's resolver does more, but not for a static program: it loads the machine's own shared libraries at run time, which have to be of the very
//! version that the program was built with, and it cannot be told when to give up.

use std::io::{self, Read, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream, UdpSocket};
use std::time::{Duration, Instant};

const PORT: u16 = 53;
const MAX_SERVERS: usize = 3;
/// How long an answer is waited for, each time that all servers have been asked.
const PATIENCE: [Duration; 3] = [
    Duration::from_millis(700),
    Duration::from_millis(1500),
    Duration::from_millis(3000),
];

/// What is asked for, by its number on the wire.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    A = 1,
    Aaaa = 28,
}

/// The addresses of `host`, which may be one itself.
///
/// # Errors
///
/// `NotFound` when there is none by that name, `TimedOut`, or what the network says.
pub(super) fn resolve(host: &str, until: Instant) -> io::Result<Vec<IpAddr>> {
    if let Ok(address) = host.parse() {
        return Ok(vec![address]);
    }
    if host.eq_ignore_ascii_case("localhost") {
        return Ok(vec![Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()]);
    }
    let file = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
    let fixed = in_hosts(host, &file("/etc/hosts"));
    if !fixed.is_empty() {
        return Ok(fixed);
    }
    let servers = name_servers(&file("/etc/resolv.conf"));
    let mut addresses = Vec::new();
    if reaches_ipv6() {
        addresses = look_up(host, Kind::Aaaa, &servers, until)?;
    }
    addresses.extend(look_up(host, Kind::A, &servers, until)?);
    if addresses.is_empty() {
        return Err(not_found(host));
    }
    Ok(addresses)
}

fn not_found(host: &str) -> io::Error {
    io::Error::new(
        io::ErrorKind::NotFound,
        format!("there is no host `{host}`"),
    )
}

/// Whether there is a route to the IPv6 internet. Nothing is sent: connecting a datagram socket only chooses a route.
fn reaches_ipv6() -> bool {
    let documentation = Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1);
    UdpSocket::bind((Ipv6Addr::UNSPECIFIED, 0))
        .and_then(|socket| socket.connect((documentation, PORT)))
        .is_ok()
}

fn in_hosts(host: &str, text: &str) -> Vec<IpAddr> {
    text.lines()
        .filter_map(|line| {
            let mut words = line.split('#').next()?.split_whitespace();
            let address = words.next()?.parse().ok()?;
            words
                .any(|name| name.eq_ignore_ascii_case(host))
                .then_some(address)
        })
        .collect()
}

fn name_servers(text: &str) -> Vec<SocketAddr> {
    let mut servers: Vec<SocketAddr> = text
        .lines()
        .filter_map(|line| {
            let mut words = line.split_whitespace();
            if words.next()? != "nameserver" {
                return None;
            }
            let address: IpAddr = words.next()?.parse().ok()?;
            Some((address, PORT).into())
        })
        .take(MAX_SERVERS)
        .collect();
    if servers.is_empty() {
        servers.push((Ipv4Addr::LOCALHOST, PORT).into());
    }
    servers
}

/// Asks the servers, one after the other, until one has an answer; an empty one means that the name has no address of this kind.
fn look_up(
    host: &str,
    kind: Kind,
    servers: &[SocketAddr],
    until: Instant,
) -> io::Result<Vec<IpAddr>> {
    let mut last = io::ErrorKind::TimedOut.into();
    for patience in PATIENCE {
        for server in servers {
            let now = Instant::now();
            if now >= until {
                return Err(last);
            }
            match ask(host, kind, *server, until.min(now + patience)) {
                Ok(addresses) => return Ok(addresses),
                Err(error) if error.kind() == io::ErrorKind::NotFound => return Err(error),
                Err(error) => {
                    last = io::Error::new(
                        error.kind(),
                        format!("the name server {} has no answer: {error}", server.ip()),
                    );
                }
            }
        }
    }
    Err(last)
}

fn ask(host: &str, kind: Kind, server: SocketAddr, until: Instant) -> io::Result<Vec<IpAddr>> {
    let any: IpAddr = match server {
        SocketAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
        SocketAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
    };
    // Connected, so that only this server's answers are seen, on a port that nobody can guess.
    let socket = UdpSocket::bind((any, 0))?;
    socket.connect(server)?;
    let question = Question::new(host, kind)?;
    socket.send(&question.message)?;
    let mut buffer = [0; 4096];
    loop {
        socket.set_read_timeout(Some(left(until)?))?;
        let length = match socket.recv(&mut buffer) {
            Ok(length) => length,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                return Err(io::ErrorKind::TimedOut.into());
            }
            Err(error) => return Err(error),
        };
        match question.read(&buffer[..length]) {
            Some(Answer::Addresses(addresses)) => return Ok(addresses),
            Some(Answer::NoSuchName) => return Err(not_found(host)),
            Some(Answer::Truncated) => return ask_by_stream(&question, host, server, until),
            Some(Answer::Failure(code)) => {
                return Err(io::Error::other(format!("response code {code}")));
            }
            // An answer to somebody else's question.
            None => {}
        }
    }
}

/// For answers that are too long for a datagram.
fn ask_by_stream(
    question: &Question,
    host: &str,
    server: SocketAddr,
    until: Instant,
) -> io::Result<Vec<IpAddr>> {
    let mut stream = TcpStream::connect_timeout(&server, left(until)?)?;
    stream.set_read_timeout(Some(left(until)?))?;
    stream.set_write_timeout(Some(left(until)?))?;
    let length = u16::try_from(question.message.len()).map_err(io::Error::other)?;
    stream.write_all(&[&length.to_be_bytes(), question.message.as_slice()].concat())?;
    let mut length = [0; 2];
    stream.read_exact(&mut length)?;
    let mut message = vec![0; usize::from(u16::from_be_bytes(length))];
    stream.read_exact(&mut message)?;
    match question.read(&message) {
        Some(Answer::Addresses(addresses)) => Ok(addresses),
        Some(Answer::NoSuchName) => Err(not_found(host)),
        _ => Err(io::ErrorKind::InvalidData.into()),
    }
}

/// The time until then; `TimedOut` when there is none.
pub(super) fn left(until: Instant) -> io::Result<Duration> {
    let left = until.saturating_duration_since(Instant::now());
    if left.is_zero() {
        return Err(io::ErrorKind::TimedOut.into());
    }
    Ok(left)
}

/// A question as it is sent.
struct Question {
    message: Vec<u8>,
    kind: Kind,
}

#[derive(Debug, PartialEq, Eq)]
enum Answer {
    Addresses(Vec<IpAddr>),
    NoSuchName,
    Truncated,
    Failure(u8),
}

impl Question {
    fn new(host: &str, kind: Kind) -> io::Result<Self> {
        let mut message = Vec::with_capacity(64);
        message.extend_from_slice(&super::random().to_be_bytes()[..2]);
        // Recursion desired; one question, no records.
        message.extend_from_slice(&[1, 0, 0, 1, 0, 0, 0, 0, 0, 0]);
        for label in host.trim_end_matches('.').split('.') {
            match u8::try_from(label.len()) {
                Ok(length @ 1..=63) => message.push(length),
                _ => return Err(not_found(host)),
            }
            message.extend_from_slice(label.as_bytes());
        }
        message.push(0);
        // The kind, and the class: internet.
        message.extend_from_slice(&[0, kind as u8, 0, 1]);
        Ok(Self { message, kind })
    }

    /// Reads a message; `None` when it is no answer to this question.
    fn read(&self, message: &[u8]) -> Option<Answer> {
        let flags = message.get(2..4)?;
        let same_question = message.get(..2) == self.message.get(..2)
            && flags[0] & 0x80 != 0
            && message.get(4..6) == Some(&[0, 1])
            && message
                .get(12..self.message.len())?
                .eq_ignore_ascii_case(&self.message[12..]);
        if !same_question {
            return None;
        }
        match flags[1] & 0x0f {
            0 if flags[0] & 0x02 != 0 => Some(Answer::Truncated),
            0 => Some(
                self.addresses(message)
                    .map_or(Answer::Failure(1), Answer::Addresses),
            ),
            3 => Some(Answer::NoSuchName),
            code => Some(Answer::Failure(code)),
        }
    }

    /// All addresses among the answers: those of the name that is asked for, and of the names that it stands for. `None` when the message is malformed.
    fn addresses(&self, message: &[u8]) -> Option<Vec<IpAddr>> {
        let number = |at: usize| {
            let bytes = message.get(at..at + 2)?;
            Some(usize::from(u16::from_be_bytes([bytes[0], bytes[1]])))
        };
        let mut addresses = Vec::new();
        let mut at = self.message.len();
        for _ in 0..number(6)? {
            at = after_name(message, at)?;
            let (kind, class, length) = (number(at)?, number(at + 2)?, number(at + 8)?);
            let data = message.get(at + 10..at + 10 + length)?;
            at += 10 + length;
            if kind != self.kind as usize || class != 1 {
                continue;
            }
            addresses.push(match self.kind {
                Kind::A => <[u8; 4]>::try_from(data).ok()?.into(),
                Kind::Aaaa => <[u8; 16]>::try_from(data).ok()?.into(),
            });
        }
        Some(addresses)
    }
}

/// Where the name that begins at `at` ends: at an empty label, or at a pointer to a name elsewhere.
fn after_name(message: &[u8], mut at: usize) -> Option<usize> {
    loop {
        match *message.get(at)? {
            0 => return Some(at + 1),
            length if length & 0xc0 == 0xc0 => return Some(at + 2),
            length => at += 1 + usize::from(length),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::TcpListener;

    const HOST: &str = "ssm.eu-west-1.amazonaws.com";

    fn soon() -> Instant {
        Instant::now() + Duration::from_secs(30)
    }

    /// An answer to `query` with these flags: a canonical name, then one record per entry.
    fn answer(query: &[u8], flags: [u8; 2], records: &[(u8, &[u8])]) -> Vec<u8> {
        let mut message = query.to_vec();
        message[2..4].copy_from_slice(&flags);
        message[7] = u8::try_from(records.len() + 1).expect("few records");
        // The name that was asked for, by a pointer to the question; its alias is `a.` and that name.
        message.extend_from_slice(&[0xc0, 12, 0, 5, 0, 1, 0, 0, 0, 60, 0, 4, 1, b'a', 0xc0, 12]);
        for (kind, data) in records {
            message.extend_from_slice(&[1, b'a', 0xc0, 12, 0, *kind, 0, 1, 0, 0, 0, 60, 0]);
            message.push(u8::try_from(data.len()).expect("short data"));
            message.extend_from_slice(data);
        }
        message
    }

    /// A name server on loopback that answers each datagram with what `reply` makes of it.
    fn server(reply: impl Fn(&[u8]) -> Vec<Vec<u8>> + Send + 'static) -> SocketAddr {
        let socket = UdpSocket::bind("127.0.0.1:0").expect("a free port");
        let address = socket.local_addr().expect("bound");
        std::thread::spawn(move || {
            let mut buffer = [0; 512];
            while let Ok((length, peer)) = socket.recv_from(&mut buffer) {
                for message in reply(&buffer[..length]) {
                    socket.send_to(&message, peer).expect("sent");
                }
            }
        });
        address
    }

    fn ip(text: &str) -> IpAddr {
        text.parse().expect("an address")
    }

    #[test]
    fn addresses_are_found_behind_aliases() {
        let v4 = server(|query| {
            vec![answer(
                query,
                [0x81, 0x80],
                &[(1, &[10, 0, 0, 1]), (1, &[10, 0, 0, 2])],
            )]
        });
        assert_eq!(
            look_up(HOST, Kind::A, &[v4], soon()).expect("found"),
            [ip("10.0.0.1"), ip("10.0.0.2")]
        );
        let v6 = server(|query| {
            vec![answer(
                query,
                [0x81, 0x80],
                &[(28, &[0xfd, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1])],
            )]
        });
        assert_eq!(
            look_up(HOST, Kind::Aaaa, &[v6], soon()).expect("found"),
            [ip("fd00::1")]
        );
    }

    #[test]
    fn answers_to_other_questions_are_passed_over() {
        let server = server(|query| {
            let mut other_id = query.to_vec();
            other_id[0] ^= 1;
            let mut other_name = query.to_vec();
            other_name[13] ^= 1;
            let flags = [0x81, 0x80];
            vec![
                vec![],
                query.to_vec(),
                answer(&other_id, flags, &[(1, &[6, 6, 6, 6])]),
                answer(&other_name, flags, &[(1, &[6, 6, 6, 6])]),
                answer(query, flags, &[(1, &[10, 0, 0, 1])]),
            ]
        });
        assert_eq!(
            look_up(HOST, Kind::A, &[server], soon()).expect("found"),
            [ip("10.0.0.1")]
        );
    }

    #[test]
    fn a_server_that_fails_or_is_silent_is_followed_by_the_next_one() {
        let failing = server(|query| vec![answer(query, [0x81, 0x82], &[])]);
        let malformed = server(|query| {
            let whole = answer(query, [0x81, 0x80], &[(1, &[10, 0, 0, 1])]);
            vec![whole[..whole.len() - 1].to_vec()]
        });
        let silent = server(|_| vec![]);
        let good = server(|query| vec![answer(query, [0x81, 0x80], &[(1, &[10, 0, 0, 1])])]);
        assert_eq!(
            look_up(HOST, Kind::A, &[failing, malformed, silent, good], soon()).expect("found"),
            [ip("10.0.0.1")]
        );
    }

    #[test]
    fn a_name_that_does_not_exist_is_said_at_once_and_a_dead_server_in_time() {
        let server = server(|query| vec![answer(query, [0x81, 0x83], &[])]);
        let error = look_up(HOST, Kind::A, &[server], soon()).expect_err("no such name");
        assert_eq!(error.to_string(), format!("there is no host `{HOST}`"));

        let silent = UdpSocket::bind("127.0.0.1:0").expect("a free port");
        let address = silent.local_addr().expect("bound");
        let until = Instant::now() + Duration::from_millis(50);
        let error = look_up(HOST, Kind::A, &[address], until).expect_err("silence");
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        assert_eq!(
            error.to_string(),
            "the name server 127.0.0.1 has no answer: timed out"
        );
    }

    #[test]
    fn an_answer_too_long_for_a_datagram_is_fetched_by_stream() {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("bound");
        let socket = UdpSocket::bind(address).expect("the same port");
        std::thread::spawn(move || {
            let mut buffer = [0; 512];
            let (length, peer) = socket.recv_from(&mut buffer).expect("a question");
            let short = answer(&buffer[..length], [0x83, 0x80], &[]);
            socket.send_to(&short, peer).expect("sent");
            let (mut stream, _) = listener.accept().expect("the question again");
            let mut query = vec![0; 2 + length];
            stream.read_exact(&mut query).expect("the question");
            let whole = answer(&query[2..], [0x81, 0x80], &[(1, &[10, 0, 0, 1])]);
            let length = u16::try_from(whole.len()).expect("short");
            stream.write_all(&length.to_be_bytes()).expect("sent");
            stream.write_all(&whole).expect("sent");
        });
        assert_eq!(
            look_up(HOST, Kind::A, &[address], soon()).expect("found"),
            [ip("10.0.0.1")]
        );
    }

    #[test]
    fn the_files_of_the_machine_are_read_as_documented() {
        let hosts = "127.0.0.1 localhost\n# 10.0.0.1 vpce\n10.0.0.2 a VPCE b # c\nfd00::2 vpce\nnothing vpce\n";
        assert_eq!(in_hosts("vpce", hosts), [ip("10.0.0.2"), ip("fd00::2")]);
        assert_eq!(in_hosts("c", hosts), Vec::<IpAddr>::new());
        let resolv = "; generated\nsearch example\nnameserver 169.254.78.1\n#nameserver 10.0.0.9\nnameserver\tfd00::53\noptions timeout:1\nnameserver x\nnameserver 10.0.0.3\nnameserver 10.0.0.4\n";
        let servers = name_servers(resolv)
            .iter()
            .map(SocketAddr::to_string)
            .collect::<Vec<_>>();
        assert_eq!(servers, ["169.254.78.1:53", "[fd00::53]:53", "10.0.0.3:53"]);
        assert_eq!(
            name_servers("")
                .first()
                .map(SocketAddr::to_string)
                .as_deref(),
            Some("127.0.0.1:53")
        );
    }

    #[test]
    fn addresses_and_localhost_need_no_server() {
        assert_eq!(
            resolve("10.1.2.3", Instant::now()).expect("an address"),
            [ip("10.1.2.3")]
        );
        assert_eq!(
            resolve("localhost", Instant::now()).expect("this machine"),
            [ip("127.0.0.1"), ip("::1")]
        );
    }

    #[test]
    fn a_name_that_cannot_be_asked_for_is_none() {
        for host in ["", "a..b", &"x".repeat(64)] {
            let error = Question::new(host, Kind::A).err().expect("refused");
            assert_eq!(error.kind(), io::ErrorKind::NotFound, "{host}");
        }
    }
}
