//! Pairing of a call's entry with its exit, and what becomes of a finished call: one path for all sources.

use crate::{
    emit,
    maps::{CALLS, CONNS, CallArguments, CallKey, STARTED, VOLUMES},
    sys,
};
use inferscope_ebpf::{
    Conn, ConnId, Cookie, FLAG_MIDWAY, Header, Loss, Shape, VOLUME_FULL, VOLUME_MESSAGE, VOLUME_OFF,
};

const EAGAIN: i64 = 11;

/// What a connection is named by: a descriptor, an `SSL *` or a message socket.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Layer {
    Socket = 0,
    Tls = 1,
    Message = 2,
}

/// A call that has returned.
#[derive(Clone, Copy)]
pub struct Call {
    pub cookie: Cookie,
    pub arguments: [u64; 4],
    /// When it began, 0 where that was not seen.
    pub began: u64,
}

/// A frame of a message, in the traced process.
#[derive(Clone, Copy)]
pub struct Frame {
    /// Its bytes.
    pub at: u64,
    /// How many.
    pub size: u64,
    /// `FLAG_MORE` or 0.
    pub flags: u16,
}

/// Remembers a call until [`leave`].
#[inline(always)]
pub fn enter(cookie: Cookie, layer: Layer, arguments: [u64; 4]) {
    emit::hit(cookie.hook());
    remember(cookie, layer as u64, arguments);
}

/// As [`enter`], of any layer; counts no hit.
#[inline(always)]
pub fn remember(cookie: Cookie, layer: u64, arguments: [u64; 4]) {
    let key = CallKey { thread: sys::thread(), layer };
    if CALLS.insert(key, CallArguments { cookie: cookie.0, time: sys::now(), arguments }, 0).is_err() {
        emit::lost(cookie.hook(), Loss::CallsFull);
    }
}

/// The call that this thread entered last, if any.
#[inline(always)]
pub fn leave(layer: Layer) -> Option<Call> {
    recall(layer as u64)
}

/// As [`leave`], of any layer.
#[inline(always)]
pub fn recall(layer: u64) -> Option<Call> {
    let key = CallKey { thread: sys::thread(), layer };
    // SAFETY: the entry belongs to the running thread, which is here and not removing it elsewhere.
    let CallArguments { cookie, time, arguments } = *unsafe { CALLS.get(key) }?;
    let _ = CALLS.remove(key);
    Some(Call { cookie: Cookie(cookie), arguments, began: time })
}

/// This thread begins a write whose arguments and result are seen behind its system call.
#[inline(always)]
pub fn begin() {
    let thread = sys::thread();
    match STARTED.get_ptr_mut(thread) {
        // SAFETY: the entry is this thread's own.
        Some(started) => unsafe { *started = sys::now() },
        // Fails where memory is short: the write is then stamped when it returns.
        None => drop(STARTED.insert(thread, sys::now(), 0)),
    }
}

/// When this thread began the write that it is in, or 0.
#[inline(always)]
pub fn began() -> u64 {
    match STARTED.get_ptr_mut(sys::thread()) {
        // SAFETY: as above. Taken out, so that a write whose beginning was missed is not given an older one's.
        Some(started) => unsafe { core::mem::replace(&mut *started, 0) },
        None => 0,
    }
}

/// A connection begins.
#[inline(always)]
pub fn opened(cookie: Cookie, layer: Layer, id: u64) {
    let time = sys::now();
    let key = conn_id(layer, id);
    let conn = fresh(time, 0);
    if CONNS.insert(key, conn, 0).is_err() {
        return emit::lost(cookie.hook(), Loss::ConnsFull);
    }
    emit::empty(&header(cookie, time, &key, &conn));
}

/// A connection ends.
#[inline(always)]
pub fn closed(cookie: Cookie, layer: Layer, id: u64) {
    let key = conn_id(layer, id);
    // SAFETY: copied at once; a concurrent removal would be a double close in the traced process.
    let Some(conn) = (unsafe { CONNS.get(key) }).copied() else { return };
    let _ = CONNS.remove(key);
    let _ = VOLUMES.remove(key);
    emit::empty(&header(cookie, sys::now(), &key, &conn));
}

/// A call moved `result` bytes at `at` (a buffer, or what the cookie's shape says), met the end of the stream (0) or
/// failed (`-errno`).
///
/// A read is stamped when it returned: only then are its bytes with the process. A write is stamped when it began: a
/// client that it wakes may run before it returns, and would have received what had not left.
#[inline(always)]
pub fn moved(call: Call, layer: Layer, id: u64, result: i64, at: u64, count: u64) {
    let Call { cookie, began, .. } = call;
    let key = conn_id(layer, id);
    let now = sys::now();
    let time = if cookie.direction() == 1 && began != 0 { began } else { now };
    let Some(conn) = connection(cookie, layer, &key, time, result) else { return };
    // SAFETY: map values stay readable for the program's run. Two threads that use one connection at the same moment
    // could mix up its positions; user space would see the overlap and say so.
    let conn = unsafe { &mut *conn };
    let volume = volume(&key, conn, cookie);
    let position = advance(conn, cookie, if result > 0 { result as u64 } else { 0 });
    if volume == VOLUME_OFF || result == -EAGAIN {
        return;
    }
    let header = Header { position, result, ..header(cookie, time, &key, conn) };
    if result <= 0 || cookie.is(Shape::Unseen) {
        return emit::empty(&header);
    }
    if cookie.is(Shape::Vectors) || cookie.is(Shape::Message) {
        return emit::vectors(&header, at, count, volume);
    }
    emit::buffer::<{ VOLUME_MESSAGE as u64 }>(&header, at, volume);
}

/// A call moves one frame of a message. A frame without bytes is one, too: the next may belong to another message.
#[inline(always)]
pub fn frame(cookie: Cookie, socket: u64, frame: Frame) {
    let Frame { at, size, flags } = frame;
    let key = conn_id(Layer::Message, socket);
    let time = sys::now();
    let result = size as i64;
    let Some(conn) = connection(cookie, Layer::Message, &key, time, result) else { return };
    // SAFETY: as above; a message socket is used by one thread at a time.
    let conn = unsafe { &mut *conn };
    let volume = volume(&key, conn, cookie);
    let position = advance(conn, cookie, size);
    if volume == VOLUME_OFF {
        return;
    }
    let flags = conn.flags as u16 | flags;
    let volume = if volume == VOLUME_FULL { VOLUME_MESSAGE } else { volume };
    let header = Header { position, result, flags, ..header(cookie, time, &key, conn) };
    emit::buffer::<{ VOLUME_MESSAGE as u64 }>(&header, at, volume);
}

/// Moves a connection's position in the direction of a call. Where it was.
#[inline(always)]
fn advance(conn: &mut Conn, cookie: Cookie, bytes: u64) -> u64 {
    let position = &mut conn.position[cookie.direction()];
    core::mem::replace(position, *position + bytes)
}

/// How much of a call is wanted.
#[inline(always)]
fn volume(key: &ConnId, conn: &Conn, cookie: Cookie) -> u32 {
    // SAFETY: copied at once; user space replaces entries whole.
    let Some(volumes) = (unsafe { VOLUMES.get(key) }) else { return VOLUME_FULL };
    let holds = conn.position[0] <= volumes.while_received;
    if holds && volumes.generation == conn.generation { volumes.volume[cookie.direction()] } else { VOLUME_FULL }
}

/// The connection of a call. Sockets are known by accept or by user space; TLS connections by their first bytes, message
/// sockets by their first frame.
#[inline(always)]
fn connection(cookie: Cookie, layer: Layer, key: &ConnId, time: u64, result: i64) -> Option<*mut Conn> {
    if let Some(conn) = CONNS.get_ptr_mut(key) {
        return Some(conn);
    }
    let begins = match layer {
        Layer::Socket => false,
        Layer::Tls => result > 0,
        Layer::Message => true,
    };
    if !begins {
        return None;
    }
    // Nobody can tell whether this object is older than the agent.
    if CONNS.insert(key, fresh(time, FLAG_MIDWAY as u32), 0).is_err() {
        emit::lost(cookie.hook(), Loss::ConnsFull);
    }
    CONNS.get_ptr_mut(key)
}

#[inline(always)]
fn fresh(time: u64, flags: u32) -> Conn {
    Conn { position: [0; 2], generation: time as u32, flags }
}

#[inline(always)]
fn conn_id(layer: Layer, id: u64) -> ConnId {
    ConnId { id, tgid: sys::tgid(), layer: layer as u32 }
}

#[inline(always)]
fn header(cookie: Cookie, time: u64, key: &ConnId, conn: &Conn) -> Header {
    Header {
        time_ns: time,
        conn: key.id,
        position: 0,
        result: 0,
        tgid: key.tgid,
        tid: sys::thread() as u32,
        generation: conn.generation,
        offset: 0,
        len: 0,
        hook: cookie.hook(),
        flags: conn.flags as u16,
        copied: 0,
    }
}
