//! The only writer of the ring buffer, and the only place that counts.

use crate::{
    maps::{COUNTS, EVENTS, WAKE_BYTES},
    sys,
};
use inferscope_ebpf::{
    Counts, HEADER_BYTES, Header, LARGE_PAYLOAD, Loss, MAX_IOVECS, MEDIUM_PAYLOAD, SMALL_PAYLOAD, TAIL_BYTES,
    TINY_PAYLOAD, VOLUME_FULL,
    signature::{MAX_LISTED, MAX_WORDS, TEXT_BYTES},
};

const BPF_RB_NO_WAKEUP: u64 = 1;
const BPF_RB_FORCE_WAKEUP: u64 = 2;
const BPF_RB_AVAIL_DATA: u64 = 0;

/// The most that is copied into one record: a mask.
const SMALL: u64 = SMALL_PAYLOAD as u64 - 1;
const MEDIUM: u64 = MEDIUM_PAYLOAD as u64 - 1;
const LARGE: u64 = LARGE_PAYLOAD as u64 - 1;
/// The most that is gathered in one record: the verifier adds the largest offset to the largest length.
const SMALL_HALF: u64 = SMALL / 2;
const MEDIUM_HALF: u64 = MEDIUM / 2;
const LARGE_HALF: u64 = LARGE / 2;
/// Listed objects behind their count that fit a record.
const TINY_LIST: u64 = TINY_PAYLOAD as u64 / 8 - 1;
const SMALL_LIST: u64 = SMALL_PAYLOAD as u64 / 8 - 1;

const _: () = assert!((MAX_WORDS + 2) * 8 <= TINY_PAYLOAD && TINY_PAYLOAD + TEXT_BYTES as usize <= SMALL_PAYLOAD);
const _: () = assert!(MAX_LISTED < MEDIUM / 8);

#[repr(C, align(8))]
struct Record<const PAYLOAD: usize> {
    header: Header,
    payload: [u8; PAYLOAD],
}

const _: () = assert!(size_of::<Record<SMALL_PAYLOAD>>() == HEADER_BYTES + SMALL_PAYLOAD);

/// Counts one run of a probe.
#[inline(always)]
pub fn hit(hook: u16) {
    count(hook, |counts| counts.hits += 1);
}

/// Counts something that could not be said.
#[inline(always)]
pub fn lost(hook: u16, why: Loss) {
    count(hook, |counts| match why {
        // Constant indexes: the verifier accepts no computed one without a bound.
        Loss::RingFull => counts.lost[Loss::RingFull as usize] += 1,
        Loss::Fault => counts.lost[Loss::Fault as usize] += 1,
        Loss::CallsFull => counts.lost[Loss::CallsFull as usize] += 1,
        Loss::ConnsFull => counts.lost[Loss::ConnsFull as usize] += 1,
        Loss::Unsupported => counts.lost[Loss::Unsupported as usize] += 1,
    });
}

#[inline(always)]
fn count(hook: u16, change: impl FnOnce(&mut Counts)) {
    if let Some(counts) = COUNTS.get_ptr_mut(hook as u32) {
        // SAFETY: a per-CPU slot. A probe that is preempted in the middle may lose an increment, never memory safety.
        change(unsafe { &mut *counts });
    }
}

/// Sends a record without bytes.
#[inline(always)]
pub fn empty(header: &Header) {
    let Some(mut record) = EVENTS.reserve::<Header>(0) else { return lost(header.hook, Loss::RingFull) };
    record.write(*header);
    record.submit(wakeup());
    count(header.hook, |counts| counts.records += 1);
}

/// Sends the bytes of one call, at most `volume` and never more than `MAX` of them, and where that cuts off the end, its last [`TAIL_BYTES`].
#[inline(always)]
pub fn buffer<const MAX: u64>(header: &Header, from: u64, volume: u32) {
    let plan = Plan::of::<MAX>(header, volume);
    if plan.wanted == 0 {
        return empty(header);
    }
    let header = &Header { copied: plan.end, ..*header };
    if plan.wanted <= SMALL {
        send::<SMALL_PAYLOAD>(header, 0, |to| copy::<SMALL>(to, from, plan.wanted));
    } else if plan.wanted <= MEDIUM {
        send::<MEDIUM_PAYLOAD>(header, 0, |to| copy::<MEDIUM>(to, from, plan.wanted));
    } else {
        // Offsets are constants in each turn, so that the verifier meets the same state again at the loop's head.
        for turn in 0..MAX.div_ceil(LARGE) {
            let offset = turn * LARGE;
            if offset >= plan.wanted {
                break;
            }
            let len = sys::least(plan.wanted - offset, LARGE);
            send::<LARGE_PAYLOAD>(header, offset, |to| copy::<LARGE>(to, from + offset, len));
        }
    }
    if plan.tail > 0 {
        let offset = header.result as u64 - plan.tail;
        send::<MEDIUM_PAYLOAD>(header, offset, |to| copy::<MEDIUM>(to, from + offset, plan.tail));
    }
}

/// Sends the bytes of one call that lie in an array of `struct iovec`: gathered in one record where they fit half of
/// one (the verifier adds the largest offset to the largest length), else each vector's first bytes in its own record.
#[inline(always)]
pub fn vectors(header: &Header, at: u64, count: u64, volume: u32) {
    let plan = Plan::of::<{ VOLUME_FULL as u64 }>(header, volume);
    if plan.wanted == 0 {
        return empty(header);
    }
    let wanted = plan.wanted;
    // One record says it all: what lies in vectors beyond the walked ones is an elision.
    let alone = &Header { copied: 0, ..*header };
    if wanted <= SMALL_HALF {
        return send::<SMALL_PAYLOAD>(alone, 0, |to| gather::<SMALL_HALF>(to, at, count, wanted));
    }
    if wanted <= MEDIUM_HALF {
        return send::<MEDIUM_PAYLOAD>(alone, 0, |to| gather::<MEDIUM_HALF>(to, at, count, wanted));
    }
    if wanted <= LARGE_HALF {
        return send::<LARGE_PAYLOAD>(alone, 0, |to| gather::<LARGE_HALF>(to, at, count, wanted));
    }
    // What a vector holds beyond one large record is an elision: the next record's offset says how long.
    let header = &Header { copied: header.result as u64, ..*header };
    let mut done = 0;
    let mut last = [0; 2];
    for index in 0..MAX_IOVECS as u64 {
        if index >= count || done >= header.result as u64 {
            break;
        }
        let Some([base, len]) = sys::read_user::<[u64; 2]>(at + index * 16) else {
            return lost(header.hook, Loss::Fault);
        };
        let len = sys::least(len, header.result as u64 - done);
        let here = sys::least(len, LARGE);
        send::<LARGE_PAYLOAD>(header, done, |to| copy::<LARGE>(to, base, here));
        done += len;
        last = [base, len];
    }
    let [base, len] = last;
    if done < header.result as u64 {
        return empty(&Header { offset: header.result as u32, ..*header });
    }
    if len > LARGE + TAIL_BYTES as u64 {
        let tail = TAIL_BYTES as u64;
        send::<MEDIUM_PAYLOAD>(header, done - tail, |to| copy::<MEDIUM>(to, base + len - tail, tail));
    }
}

/// Sends the first `header.position` of the words, at most all of them.
#[inline(always)]
pub fn words(header: &Header, words: &[u64; MAX_WORDS + 1]) {
    send::<TINY_PAYLOAD>(header, 0, |to| put(to, header, words));
}

/// The same with the text at `from` behind them.
#[inline(always)]
pub fn words_and_text(header: &Header, words: &[u64; MAX_WORDS + 1], from: u64) {
    let mut unreadable = false;
    send::<SMALL_PAYLOAD>(header, 0, |to| {
        let Copied { len, failed } = put(to, header, words);
        // SAFETY: behind the words there is room for the text.
        let text =
            unsafe { sys::copy_text::<TEXT_BYTES>(to.add(sys::bound::<{ TINY_PAYLOAD as u64 }>(len) as usize), from) };
        unreadable = text.is_none();
        Copied { len: len + text.unwrap_or(0), failed }
    });
    if unreadable {
        lost(header.hook, Loss::Fault);
    }
}

/// Sends `count` and so many objects of the list at `from`, at most [`MAX_LISTED`] of them.
#[inline(always)]
pub fn list(header: &Header, from: u64, count: u64) {
    let listed = sys::bound::<MAX_LISTED>(count);
    let header = &Header { position: listed + 1, ..*header };
    if listed <= TINY_LIST {
        send::<TINY_PAYLOAD>(header, 0, |to| put_list::<{ TINY_LIST * 8 }>(to, count, from, listed));
    } else if listed <= SMALL_LIST {
        send::<SMALL_PAYLOAD>(header, 0, |to| put_list::<{ SMALL_LIST * 8 }>(to, count, from, listed));
    } else {
        send::<MEDIUM_PAYLOAD>(header, 0, |to| put_list::<{ MAX_LISTED * 8 }>(to, count, from, listed));
    }
}

#[inline(always)]
fn put(to: *mut u8, header: &Header, words: &[u64; MAX_WORDS + 1]) -> Copied {
    // SAFETY: every payload has room for all words, and payloads are aligned to 8 bytes.
    unsafe { to.cast::<[u64; MAX_WORDS + 1]>().write(*words) };
    Copied { len: header.position * 8, failed: 0 }
}

/// `BYTES`: what is left of `to` behind the first word.
#[inline(always)]
fn put_list<const BYTES: u64>(to: *mut u8, count: u64, from: u64, listed: u64) -> Copied {
    // SAFETY: `to` is aligned and holds a word and BYTES more.
    unsafe {
        to.cast::<u64>().write(count);
        let failed = sys::copy_user(to.add(8), from, sys::bound::<BYTES>(listed * 8));
        Copied { len: (listed + 1) * 8, failed }
    }
}

/// What will be copied of a call.
struct Plan {
    /// Its first bytes.
    wanted: u64,
    /// Its last bytes, where the first do not reach the end.
    tail: u64,
    /// Where in the call the last copied byte ends.
    end: u64,
}

impl Plan {
    #[inline(always)]
    fn of<const MAX: u64>(header: &Header, volume: u32) -> Plan {
        let most = sys::least(volume as u64, MAX);
        let total = header.result as u64;
        if total <= most {
            return Plan { wanted: total, tail: 0, end: total };
        }
        if volume <= TAIL_BYTES {
            return Plan { wanted: most, tail: 0, end: most };
        }
        let tail = sys::least(total - most, TAIL_BYTES as u64);
        Plan { wanted: most, tail, end: total }
    }
}

/// What came of copying: `failed` is all ones where the bytes could not be read, else 0.
struct Copied {
    len: u64,
    failed: u64,
}

/// Copies one stretch of at most `MAX` bytes. Like its caller without branches: each would double the paths that the
/// verifier walks through the loops above.
#[inline(always)]
fn copy<const MAX: u64>(to: *mut u8, from: u64, len: u64) -> Copied {
    // SAFETY: `to` has MAX bytes.
    let failed = unsafe { sys::copy_user(to, from, sys::capped::<MAX>(len)) };
    Copied { len, failed }
}

/// Copies the first `wanted` bytes of an io vector array behind each other; `HALF` is half of what `to` holds.
#[inline(always)]
fn gather<const HALF: u64>(to: *mut u8, at: u64, count: u64, wanted: u64) -> Copied {
    let mut done = 0;
    let mut failed = 0;
    for index in 0..MAX_IOVECS as u64 {
        if index >= count || done >= wanted {
            break;
        }
        let Some([base, len]) = sys::read_user::<[u64; 2]>(at + index * 16) else { break };
        let len = sys::capped::<HALF>(sys::least(len, wanted - done));
        // SAFETY: done and len are each at most HALF, and `to` holds twice that.
        failed |= unsafe { sys::copy_user(to.add(done as usize), base, len) };
        done = sys::capped::<HALF>(done + len);
    }
    Copied { len: done, failed }
}

/// Reserves a record, fills it, sends it. Bytes that could not be read are counted and leave a hole.
#[inline(always)]
fn send<const PAYLOAD: usize>(header: &Header, offset: u64, fill: impl FnOnce(*mut u8) -> Copied) {
    let Some(mut record) = EVENTS.reserve::<Record<PAYLOAD>>(0) else { return lost(header.hook, Loss::RingFull) };
    let at = record.as_mut_ptr();
    // SAFETY: `at` is the reserved record; every header field is written before it is sent. Payload bytes beyond `len`
    // keep what the ring buffer held, and user space does not read them.
    let (len, failed) = unsafe {
        let Copied { len, failed } = fill((&raw mut (*at).payload).cast::<u8>());
        let len = len & !failed;
        (&raw mut (*at).header).write(Header { offset: offset as u32, len: len as u32, ..*header });
        (len, failed)
    };
    record.submit(wakeup());
    count(header.hook, |counts| {
        counts.records += 1;
        counts.bytes += len;
        counts.lost[Loss::Fault as usize] += failed & 1;
    });
}

/// User space reads every few milliseconds by itself; a wake-up costs the traced thread microseconds, so it is woken
/// only when much has gathered.
#[inline(always)]
fn wakeup() -> u64 {
    // Without a branch, see `copy`: the sign bit of threshold - available.
    let much = sys::global(&WAKE_BYTES).wrapping_sub(EVENTS.query(BPF_RB_AVAIL_DATA)) >> 63;
    BPF_RB_NO_WAKEUP + much * (BPF_RB_FORCE_WAKEUP - BPF_RB_NO_WAKEUP)
}
