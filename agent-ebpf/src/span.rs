//! Calls of a library's interface that say what becomes of a request: who, when, which objects, a name.
//!
//! Which arguments a record carries is in the attach cookie ([`inferscope_ebpf::signature`]); these programs differ only in
//! when they speak. They read arguments, what an out-pointer holds, a list of pointers, text, and of an error its code;
//! never another object itself: those are the library's own affair.
//!
//! A streamed response is made and sent: two calls, and the maker (which knows the request) is known only to the first,
//! the response only to the second and to the first's out-pointer, once it has returned. A return probe there would be a
//! third trap and a second record for each response. Instead the first call leaves behind where its result will be
//! stored, and the second looks whether the object that it is given lies there: backends make and send a response in
//! one function, so the variable is still there. Where it does not (made on another thread, kept in a list) the
//! record comes without the maker, and user space counts a response of an unknown request. It is never guessed.

use crate::{
    call, emit,
    maps::{MADE, Made},
    sys,
};
use aya_ebpf::{
    macros::{uprobe, uretprobe},
    programs::{ProbeContext, RetProbeContext},
};
use inferscope_ebpf::{
    Cookie, Header, Loss,
    signature::{ERROR_CODES, MAX_WORDS, NO_ERROR, Packed, UNREADABLE_ERROR},
};

/// Arguments by their place. A power of two, so that a place of three bits is always inside.
type Arguments = [u64; 8];

/// Entry of a function of which that is enough.
#[uprobe]
pub fn span_call(ctx: ProbeContext) -> u32 {
    sys::own_stack(&ctx);
    let cookie = sys::cookie(&ctx);
    emit::hit(cookie.hook());
    let arguments = arguments(&ctx, Packed(cookie.0));
    say(cookie, object(cookie, &arguments), &arguments);
    0
}

/// Entry of a function that makes an object.
#[uprobe]
pub fn span_enter(ctx: ProbeContext) -> u32 {
    sys::own_stack(&ctx);
    let cookie = sys::cookie(&ctx);
    emit::hit(cookie.hook());
    call::remember(cookie, cookie.hook() as u64, sys::four_arguments(&ctx));
    0
}

/// Its return: the object lies where the first argument points.
#[uretprobe]
pub fn span_made(ctx: RetProbeContext) -> u32 {
    sys::own_stack(&ctx);
    let Some(call) = call::recall(sys::cookie(&ctx).hook() as u64) else { return 0 };
    if ctx.ret::<u64>() != 0 {
        return 0;
    }
    let [to, second, third, fourth] = call.arguments;
    let Some(object) = sys::read_user::<u64>(to) else {
        emit::lost(call.cookie.hook(), Loss::Fault);
        return 0;
    };
    say(call.cookie, object, &[to, second, third, fourth, 0, 0, 0, 0]);
    0
}

/// Entry of a function that may refuse.
#[uprobe]
pub fn span_try(ctx: ProbeContext) -> u32 {
    sys::own_stack(&ctx);
    let cookie = sys::cookie(&ctx);
    emit::hit(cookie.hook());
    let [first, second, third, fourth] = sys::four_arguments(&ctx);
    call::remember(cookie, cookie.hook() as u64, [first, second, third, fourth]);
    let arguments = [first, second, third, fourth, 0, 0, 0, 0];
    say(cookie, object(cookie, &arguments), &arguments);
    0
}

/// Its return, which says something only where it refused.
#[uretprobe]
pub fn span_refused(ctx: RetProbeContext) -> u32 {
    sys::own_stack(&ctx);
    let Some(call) = call::recall(sys::cookie(&ctx).hook() as u64) else { return 0 };
    let error = reason(ctx.ret::<u64>());
    if error == NO_ERROR {
        return 0;
    }
    let [first, second, third, fourth] = call.arguments;
    let arguments = [first, second, third, fourth, 0, 0, 0, 0];
    let (words, count) = words(call.cookie, &arguments);
    say_with(call.cookie, object(call.cookie, &arguments), words, count, error);
    0
}

/// Entry of a function that is given a list of objects.
#[uprobe]
pub fn span_list(ctx: ProbeContext) -> u32 {
    sys::own_stack(&ctx);
    let cookie = sys::cookie(&ctx);
    emit::hit(cookie.hook());
    let [object, list, count, _] = sys::four_arguments(&ctx);
    emit::list(&header(cookie, object, 0), list, count as u32 as u64);
    0
}

/// Entry of a function that makes an object which the same thread will most likely send.
#[uprobe]
pub fn span_make(ctx: ProbeContext) -> u32 {
    sys::own_stack(&ctx);
    emit::hit(sys::cookie(&ctx).hook());
    let [stored_at, maker, ..] = sys::four_arguments(&ctx);
    remember_made(Made { stored_at, maker });
    0
}

/// Entry of the function that sends it.
#[uprobe]
pub fn span_send(ctx: ProbeContext) -> u32 {
    sys::own_stack(&ctx);
    let cookie = sys::cookie(&ctx);
    emit::hit(cookie.hook());
    let arguments = arguments(&ctx, Packed(cookie.0));
    let object = object(cookie, &arguments);
    let (mut words, count) = words(cookie, &arguments);
    if let Some(error) = words.get_mut(sys::bound::<{ MAX_WORDS as u64 }>(count.wrapping_sub(1)) as usize) {
        *error = reason(*error);
    }
    match maker_of(object) {
        Some(maker) => say_with(cookie, object, words, count, maker),
        None => emit::words(&header(cookie, object, count), &words),
    }
    0
}

/// What an error pointer says.
#[inline(always)]
fn reason(error: u64) -> u64 {
    if error == 0 {
        return NO_ERROR;
    }
    match sys::read_user::<u32>(error) {
        Some(code) if code < ERROR_CODES => code as u64 + 1,
        _ => UNREADABLE_ERROR,
    }
}

#[inline(always)]
fn remember_made(made: Made) {
    let thread = sys::thread();
    match MADE.get_ptr_mut(thread) {
        // SAFETY: the entry is this thread's own.
        Some(entry) => unsafe { *entry = made },
        // Fails where memory is short: the response then comes without its maker.
        None => drop(MADE.insert(thread, made, 0)),
    }
}

/// The maker of an object, if this thread had it made last. It is sent once: the memory of it goes with it, or another
/// object at the same place would be taken for it.
#[inline(always)]
fn maker_of(object: u64) -> Option<u64> {
    let entry = MADE.get_ptr_mut(sys::thread())?;
    // SAFETY: the entry is this thread's own.
    let made = unsafe { &mut *entry };
    if made.stored_at == 0 || sys::read_user::<u64>(made.stored_at) != Some(object) {
        return None;
    }
    made.stored_at = 0;
    Some(made.maker)
}

#[inline(always)]
fn say(cookie: Cookie, object: u64, arguments: &Arguments) {
    let (words, count) = words(cookie, arguments);
    let header = header(cookie, object, count);
    match Packed(cookie.0).text().map(|place| arguments[place & 7]) {
        None | Some(0) => emit::words(&header, &words),
        Some(text) => emit::words_and_text(&header, &words, text),
    }
}

/// With one word more.
#[inline(always)]
fn say_with(cookie: Cookie, object: u64, mut words: [u64; MAX_WORDS + 1], count: u64, last: u64) {
    words[sys::bound::<{ MAX_WORDS as u64 }>(count) as usize] = last;
    emit::words(&header(cookie, object, count + 1), &words);
}

#[inline(always)]
fn object(cookie: Cookie, arguments: &Arguments) -> u64 {
    arguments[Packed(cookie.0).object() & 7]
}

/// The words of a call, and how many they are.
#[inline(always)]
fn words(cookie: Cookie, arguments: &Arguments) -> ([u64; MAX_WORDS + 1], u64) {
    let packed = Packed(cookie.0);
    let mut words = [0; MAX_WORDS + 1];
    for (index, word) in words.iter_mut().enumerate().take(MAX_WORDS) {
        let (place, noise) = packed.word(index);
        *word = arguments[place & 7] << noise >> noise;
    }
    (words, packed.count())
}

#[inline(always)]
fn arguments(ctx: &ProbeContext, packed: Packed) -> Arguments {
    let argument = |n| ctx.arg::<u64>(n).unwrap_or(0);
    let seventh = if packed.wants_seventh() { sys::seventh_argument(ctx).unwrap_or(0) } else { 0 };
    [argument(0), argument(1), argument(2), argument(3), argument(4), argument(5), seventh, 0]
}

#[inline(always)]
fn header(cookie: Cookie, object: u64, words: u64) -> Header {
    let thread = sys::thread();
    Header {
        time_ns: sys::now(),
        conn: object,
        position: words,
        result: 0,
        tgid: (thread >> 32) as u32,
        tid: thread as u32,
        generation: 0,
        offset: 0,
        len: 0,
        hook: cookie.hook(),
        flags: 0,
        copied: 0,
    }
}
