//! Listens, on a thread of its own: accepts connections, as many as may be, and has each end in time.

use std::future::Future;
use std::net::TcpListener;
use std::pin::pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::Body;
use axum::http::Request;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::runtime;
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};
use tokio_rustls::TlsAcceptor;

use crate::{ServeError, ServeSpec, Tokens, tls};

/// Whether a server is told to stop.
pub type Drain = watch::Receiver<bool>;

/// Bytes of the head of a request.
const HEAD_BYTES: usize = 64 << 10;
/// How long to wait when a connection cannot be accepted, as when there are too many open files.
const ACCEPT_AGAIN: Duration = Duration::from_millis(50);
/// How long requests in hand may take when the job is told to stop.
const DRAIN: Duration = Duration::from_secs(2);
/// Of a connection on which for so many times its limit no request has begun, something else hangs: who reads no
/// answers, say.
const STALE: u32 = 4;

/// A server at work. Dropped, it takes in nothing more, answers those that are in hand, and ends.
pub struct Server {
    drain: watch::Sender<bool>,
    thread: Option<JoinHandle<()>>,
}

impl Server {
    /// Listens from now on. `routes` gives what answers requests, from what clients have to show, and whether the server
    /// is told to stop.
    ///
    /// # Errors
    /// If the address is taken, or the certificate is no good.
    pub fn start(
        spec: &ServeSpec,
        routes: impl FnOnce(Tokens, Drain) -> Router,
    ) -> Result<Server, ServeError> {
        let failed = |source| ServeError::Listen { address: spec.listen, source };
        let (drain, draining) = watch::channel(false);
        let acceptor = spec.tls.as_ref().map(tls::acceptor).transpose()?;
        let routes = routes(Tokens::read(&spec.tokens)?, draining.clone());
        let listener = TcpListener::bind(spec.listen).map_err(failed)?;
        listener.set_nonblocking(true).map_err(failed)?;
        let runtime = runtime::Builder::new_current_thread().enable_all().build().map_err(failed)?;
        let listening = Listening {
            acceptor,
            routes,
            timeout: spec.timeout,
            places: Arc::new(Semaphore::new(spec.connections)),
            drain: draining,
        };
        let listener = {
            let _guard = runtime.enter();
            tokio::net::TcpListener::from_std(listener).map_err(failed)?
        };
        let thread = thread::Builder::new().name("http".to_owned());
        let thread = thread.spawn(move || runtime.block_on(listening.run(listener))).map_err(failed)?;
        Ok(Server { drain, thread: Some(thread) })
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.drain.send_replace(true);
        if let Some(thread) = self.thread.take() {
            // Its panic, if it had one, was seen when it happened.
            let _ = thread.join();
        }
    }
}

struct Listening {
    acceptor: Option<TlsAcceptor>,
    routes: Router,
    timeout: Duration,
    /// For connections.
    places: Arc<Semaphore>,
    drain: Drain,
}

impl Listening {
    async fn run(self, listener: tokio::net::TcpListener) {
        let mut connections = JoinSet::new();
        let mut drain = self.drain.clone();
        loop {
            tokio::select! {
                biased;
                _ = drain.wait_for(|drain| *drain) => break,
                Some(_) = connections.join_next() => {}
                connection = self.next(&listener) => {
                    connections.spawn(connection);
                }
            }
        }
        drop(listener);
        let all_answered = async { while connections.join_next().await.is_some() {} };
        // Those that take longer are cut off: their clients have no answer, and send again.
        let _ = timeout(DRAIN, all_answered).await;
    }

    /// Accepts the next connection, once there is a place for it.
    async fn next(&self, listener: &tokio::net::TcpListener) -> impl Future<Output = ()> + Send + use<> {
        let place = Arc::clone(&self.places).acquire_owned().await.ok();
        let stream = loop {
            match listener.accept().await {
                Ok((stream, _)) => break stream,
                Err(_) => sleep(ACCEPT_AGAIN).await,
            }
        };
        // Answers are short, and somebody waits for each.
        let _ = stream.set_nodelay(true);
        let (acceptor, limit) = (self.acceptor.clone(), self.timeout);
        let (routes, drain) = (self.routes.clone(), self.drain.clone());
        async move {
            let _place = place;
            match acceptor {
                None => talk(stream, routes, limit, drain).await,
                Some(acceptor) => {
                    if let Ok(Ok(stream)) = timeout(limit, acceptor.accept(stream)).await {
                        talk(stream, routes, limit, drain).await;
                    }
                }
            }
        }
    }
}

/// Answers the requests of a connection. How it ends is the client's business, who has its answers or not.
async fn talk<S>(stream: S, routes: Router, limit: Duration, mut drain: Drain)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let begun = Arc::new(Mutex::new(Instant::now()));
    let noted = Arc::clone(&begun);
    let routes = routes.layer(axum::middleware::map_request(move |request: Request<Body>| {
        *noted.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
        std::future::ready(request)
    }));
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new()).header_read_timeout(limit).max_buf_size(HEAD_BYTES);
    let mut connection = pin!(http.serve_connection(TokioIo::new(stream), TowerToHyperService::new(routes)));
    let mut is_draining = *drain.borrow();
    if is_draining {
        connection.as_mut().graceful_shutdown();
    }
    loop {
        tokio::select! {
            _ = connection.as_mut() => return,
            _ = drain.wait_for(|drain| *drain), if !is_draining => {
                is_draining = true;
                connection.as_mut().graceful_shutdown();
            }
            () = sleep(limit) => {
                let begun = *begun.lock().unwrap_or_else(PoisonError::into_inner);
                if begun.elapsed() > limit * STALE {
                    return;
                }
            }
        }
    }
}
