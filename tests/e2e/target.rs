//! A program that is scraped, played by the test.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Answers every request. The thread ends with the test's process.
pub(crate) struct Target {
    address: SocketAddr,
    requests: Arc<AtomicU64>,
}

impl Target {
    /// Answers each request with the text that `text` makes of the request's number, from 1.
    pub(crate) fn serve_text(text: impl Fn(u64) -> String + Send + 'static) -> Target {
        Target::serve(move |number, mut stream| {
            let body = text(number);
            let _ = write!(
                stream,
                "HTTP/1.1 200 OK\r\nContent-Type: text/plain; version=0.0.4\r\nContent-Length: {}\r\n\
                 Connection: close\r\n\r\n{body}",
                body.len()
            );
        })
    }

    /// Hands each request's connection, from which the request was read, to `answer`.
    pub(crate) fn serve(answer: impl Fn(u64, TcpStream) + Send + 'static) -> Target {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let requests = Arc::new(AtomicU64::new(0));
        let counted = Arc::clone(&requests);
        std::thread::spawn(move || {
            for mut stream in listener.incoming().map_while(Result::ok) {
                let mut request = [0; 4096];
                if stream.read(&mut request).is_ok_and(|read| read > 0) {
                    answer(counted.fetch_add(1, Ordering::SeqCst) + 1, stream);
                }
            }
        });
        Target { address, requests }
    }

    /// `host:port`
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// How often it was asked.
    pub(crate) fn requests(&self) -> u64 {
        self.requests.load(Ordering::SeqCst)
    }

    /// A configuration that scrapes it ten times a second as the job `app`.
    pub(crate) fn config(&self) -> String {
        job("app", self.address)
    }
}

/// A configuration with one job, scraped ten times a second.
pub(crate) fn job(name: &str, address: impl std::fmt::Display) -> String {
    format!(
        "scrape_configs:\n- job_name: {name}\n  scrape_interval: 100ms\n  static_configs:\n  - targets: \
         ['{address}']\n"
    )
}

/// A counter that is at the request's number.
pub(crate) fn counter(number: u64) -> String {
    format!("# TYPE app_requests_total counter\napp_requests_total{{path=\"/\"}} {number}\n")
}
