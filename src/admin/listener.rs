//! The thread of the admin listener.

use std::convert::Infallible;
use std::fs;
use std::io;
use std::net;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::os::unix::net as unix;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, UnixListener};
use tokio::runtime;
use tokio::sync::oneshot;
use tokio::task::{AbortHandle, yield_now};
use tokio::time::{Instant, sleep, timeout};
use tower_service::Service;
use tracing::{info, warn};

use super::address::Address;
use super::routes::router;
use super::sources::Sources;

/// Connections at once. A scrape and a probe take one each, for a moment; beyond that somebody gives way to who comes.
const CONNECTIONS_MAX: usize = 16;

/// How long one may take, from the first byte of its only request to the last of its answer.
const PATIENCE: Duration = Duration::from_secs(10);

/// How long the head of the request may take of that.
const HEAD_PATIENCE: Duration = Duration::from_secs(2);

/// What is read of a head at most, in bytes.
const HEAD_BYTES_MAX: usize = 16 * 1024;

/// How long accepting rests after it failed.
const REST: Duration = Duration::from_millis(100);

/// How long an address may be taken that was the predecessor's, before the operator is told.
const TAKEN_PATIENCE: Duration = Duration::from_secs(5);

/// The stack of the thread, in bytes.
const STACK_BYTES: usize = 512 * 1024;

/// An address that is listened on, before anybody is answered.
#[derive(Debug)]
pub struct Bound {
    listener: Listener,
    /// Where that is; the port that the kernel chose, if it was to.
    address: Address,
}

#[derive(Debug)]
enum Listener {
    Tcp(net::TcpListener),
    Unix(unix::UnixListener, SocketFile),
}

/// The file of a socket, which goes with it, unless another process has put its own there.
#[derive(Debug)]
struct SocketFile {
    path: PathBuf,
    inode: u64,
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        if inode(&self.path).is_ok_and(|inode| inode == self.inode) {
            // There is nobody to tell.
            let _ = fs::remove_file(&self.path);
        }
    }
}

fn inode(path: &Path) -> io::Result<u64> {
    Ok(fs::symlink_metadata(path)?.ino())
}

impl Bound {
    /// Listens on `address`. A socket's file that nobody listens on is taken over.
    ///
    /// # Errors
    /// What the system says of the address.
    pub fn listen(address: &Address) -> io::Result<Bound> {
        match address {
            Address::Tcp(address) => {
                let listener = net::TcpListener::bind(address)?;
                listener.set_nonblocking(true)?;
                let address = Address::Tcp(listener.local_addr()?);
                Ok(Bound {
                    listener: Listener::Tcp(listener),
                    address,
                })
            }
            Address::Unix(path) => {
                remove_abandoned(path)?;
                let listener = unix::UnixListener::bind(path)?;
                listener.set_nonblocking(true)?;
                let file = SocketFile {
                    inode: inode(path)?,
                    path: path.clone(),
                };
                Ok(Bound {
                    listener: Listener::Unix(listener, file),
                    address: address.clone(),
                })
            }
        }
    }
}

/// Removes the file of a socket on which nobody listens any more, as a process leaves it that was killed.
fn remove_abandoned(path: &Path) -> io::Result<()> {
    let Ok(file) = fs::symlink_metadata(path) else {
        return Ok(());
    };
    if !file.file_type().is_socket() {
        return Err(io::Error::other(
            "there is a file of that name, and it is no socket",
        ));
    }
    match unix::UnixStream::connect(path) {
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => fs::remove_file(path),
        _ => Err(io::ErrorKind::AddrInUse.into()),
    }
}

/// The admin listener, as seen from outside. Dropped, it listens no more, and the file of its socket is gone.
#[derive(Debug)]
pub struct Admin {
    closing: Option<oneshot::Sender<Infallible>>,
    thread: Option<JoinHandle<()>>,
}

impl Drop for Admin {
    fn drop(&mut self) {
        self.closing = None;
        if let Some(thread) = self.thread.take() {
            // That it panicked was said by itself.
            let _ = thread.join();
        }
    }
}

impl Admin {
    /// Answers whoever comes to `bound`, from now on.
    ///
    /// # Errors
    /// Where there are no descriptors or threads left.
    pub fn start(bound: Bound, sources: Arc<Sources>) -> io::Result<Admin> {
        Self::begin(async move || bound, sources)
    }

    /// Answers whoever comes to `address`, as soon as nobody listens there any more. The process that did is done.
    ///
    /// # Errors
    /// Where there are no descriptors or threads left.
    pub fn start_after(address: Address, sources: Arc<Sources>) -> io::Result<Admin> {
        let free = async move || {
            let mut deadline = Some(Instant::now() + TAKEN_PATIENCE);
            loop {
                let error = match Bound::listen(&address) {
                    Ok(bound) => return bound,
                    Err(error) => error,
                };
                if deadline.take_if(|it| *it <= Instant::now()).is_some() {
                    warn!("--admin: cannot listen on {address} yet: {error}; going on to try");
                }
                sleep(REST).await;
            }
        };
        Self::begin(free, sources)
    }

    fn begin(
        bound: impl AsyncFnOnce() -> Bound + Send + 'static,
        sources: Arc<Sources>,
    ) -> io::Result<Admin> {
        let runtime = runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        let (closing, closed) = oneshot::channel();
        let thread = thread::Builder::new()
            .name("admin".to_owned())
            .stack_size(STACK_BYTES)
            .spawn(move || runtime.block_on(run(bound, sources, closed)))?;
        Ok(Admin {
            closing: Some(closing),
            thread: Some(thread),
        })
    }
}

/// Answers until the sender of `closed` is gone.
async fn run(
    bound: impl AsyncFnOnce() -> Bound,
    sources: Arc<Sources>,
    closed: oneshot::Receiver<Infallible>,
) {
    let served = async {
        let Bound { listener, address } = bound().await;
        announce(&address);
        match listener {
            Listener::Tcp(listener) => {
                let listener = TcpListener::from_std(listener)?;
                let next = async || Ok(listener.accept().await?.0);
                Ok(accept(next, router(sources, true)).await)
            }
            Listener::Unix(listener, file) => {
                let listener = UnixListener::from_std(listener)?;
                // Gone before the socket is: a successor removes the file of one that is not listened on.
                let _file = file;
                let next = async || Ok(listener.accept().await?.0);
                Ok(accept(next, router(sources, false)).await)
            }
        }
    };
    tokio::select! {
        served = served => {
            let Err(error): io::Result<Infallible> = served;
            warn!("the admin listener has ended: {error}");
        }
        _ = closed => {}
    }
}

fn announce(address: &Address) {
    info!("admin listener on {address}");
    if !address.is_local() {
        warn!(
            "the admin listener has no password, and {address} may be reached from other machines: whoever does so \
             sees the configuration and who is connected"
        );
    }
}

/// A connection that is being served.
struct Visitor {
    /// Its request has come.
    has_asked: Arc<AtomicBool>,
    task: AbortHandle,
}

/// Serves whoever comes, some at once.
async fn accept<S>(next: impl AsyncFn() -> io::Result<S>, router: Router) -> Infallible
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let mut visitors = Vec::new();
    loop {
        // An error is the connection's, or for want of descriptors, which passes.
        let Ok(stream) = next().await else {
            sleep(REST).await;
            continue;
        };
        make_room(&mut visitors);
        let has_asked = Arc::default();
        let served = tokio::spawn(serve(stream, router.clone(), Arc::clone(&has_asked)));
        visitors.push(Visitor {
            has_asked,
            task: served.abort_handle(),
        });
        // It is heard before the next one comes, so that a crowd does not push out who asks at once.
        yield_now().await;
    }
}

/// Has somebody give way where all places are taken: whoever has been silent for longest, so that nobody who asks waits
/// for others to.
fn make_room(visitors: &mut Vec<Visitor>) {
    visitors.retain(|visitor| !visitor.task.is_finished());
    if visitors.len() == CONNECTIONS_MAX {
        let is_silent = |visitor: &Visitor| !visitor.has_asked.load(Relaxed);
        let first = visitors.iter().position(is_silent).unwrap_or(0);
        visitors.remove(first).task.abort();
    }
}

/// Answers one request. Who asks again connects again: no place is kept for anybody.
async fn serve<S>(stream: S, router: Router, has_asked: Arc<AtomicBool>)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let service = service_fn(move |request: hyper::Request<Incoming>| {
        has_asked.store(true, Relaxed);
        let mut router = router.clone();
        async move { router.call(request.map(Body::new)).await }
    });
    let connection = http1::Builder::new()
        .keep_alive(false)
        .half_close(true)
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_PATIENCE)
        .max_buf_size(HEAD_BYTES_MAX)
        .serve_connection(TokioIo::new(stream), service);
    // Who is gone, or too slow, cannot be told.
    let _ = timeout(PATIENCE, connection).await;
}
