//! What the calls of Triton's library mean: pointers become numbers, flags become words.
//!
//! What each hook brings stands at [`inference::Calls::call`]. A request is an address between `InferenceRequestNew` and
//! `InferenceRequestDelete`; its responses are found through the address of the response, else of the factory that made it.

use super::objects::{Objects, Room};
use crate::engine::inference::{self, Act, Fault, InstanceId, More, Outcome, RequestId, Stamps};
use crate::event::{Call, Nanos};
use crate::issue::Issue;
use inferscope_ebpf::Hook;

/// Objects of each kind that are held at once.
const MAX_OBJECTS: usize = 65_536;
/// `TRITONSERVER_RESPONSE_COMPLETE_FINAL`
const FINAL: u64 = 1;

/// Reads the calls of one server.
pub struct Calls {
    last: u64,
    requests: Objects<Request>,
    /// Whose responses a factory makes.
    factories: Objects<RequestId>,
    responses: Objects<Response>,
}

/// A request, while its object lives.
struct Request {
    id: RequestId,
    factory: Option<u64>,
    life: Life,
}

/// Where a request comes from, and how far it is.
enum Life {
    /// The server made it inside itself.
    Inner,
    /// Made through the interface, for this model.
    Created { model: String, version: Option<u64> },
    /// And handed over.
    Submitted { model: String, version: Option<u64> },
}

/// A response that was made and is not yet sent.
struct Response {
    request: RequestId,
    factory: Option<u64>,
}

/// To say something.
type Say<'a> = &'a mut dyn FnMut(Act<'_>);

impl Default for Calls {
    fn default() -> Calls {
        Calls {
            last: 0,
            requests: Objects::new(MAX_OBJECTS),
            factories: Objects::new(MAX_OBJECTS),
            responses: Objects::new(MAX_OBJECTS),
        }
    }
}

impl inference::Calls for Calls {
    fn call(&mut self, hook: Hook, object: u64, call: &Call, issues: &mut Vec<Issue>, say: &mut dyn FnMut(Act<'_>)) {
        if self.read(hook, object, call, issues, say).is_none() {
            issues.push(Issue::CallUnreadable);
        }
    }
}

impl Calls {
    /// `None` where words are missing.
    fn read(&mut self, hook: Hook, object: u64, call: &Call, issues: &mut Vec<Issue>, say: Say<'_>) -> Option<()> {
        let word = |index: usize| call.words.get(index).copied();
        match hook {
            Hook::TritonRequestNew => self.created(object, call, word(1)?, issues, say),
            Hook::TritonRequestSetId => self.named(object, call, say),
            Hook::TritonInferAsync => match word(1) {
                None => self.submitted(object, call.thread, issues, say),
                Some(error) => self.refused(object, error, say),
            },
            Hook::TritonRequestCancel => self.about(object, say, |request| Act::Cancelled { request }),
            Hook::TritonRequestDelete => {
                if let Some(Request { id: request, .. }) = self.requests.remove(object) {
                    say(Act::Deleted { request });
                }
            }
            Hook::TritonExecute => self.executing(object, word(0)?, call.words.get(1..)?, issues, say),
            Hook::TritonFactoryNew => {
                let request = self.request(word(0)?, issues);
                request.factory = Some(object);
                let id = request.id;
                room(self.factories.insert(object, id), issues);
            }
            Hook::TritonResponseNew => {
                let Request { id: request, factory, .. } = *self.request(word(0)?, issues);
                room(self.responses.insert(object, Response { request, factory }), issues);
            }
            Hook::TritonResponseSend => self.responded(object, [word(0)?, word(1)?], word(2), issues, say),
            Hook::TritonFactorySendFlags if word(0)? & FINAL != 0 => match self.factories.remove(object) {
                Some(request) => say(Act::Finished { request }),
                None => say(Act::Ended),
            },
            Hook::TritonReportStatistics => self.computed(object, call.words.first_chunk()?, issues, say),
            Hook::TritonInstanceFinalize => say(Act::Unloaded { instance: InstanceId(object) }),
            _ => {}
        }
        Some(())
    }

    fn created(&mut self, object: u64, call: &Call, version: u64, issues: &mut Vec<Issue>, say: Say<'_>) {
        let request = self.next();
        let text = String::from_utf8_lossy(&call.text);
        let version = asked_for(version);
        // Nobody saw the earlier request at this address go.
        if let Some(before) = self.requests.remove(object) {
            say(Act::Deleted { request: before.id });
        }
        say(Act::Created { request, thread: call.thread, model: Some(&text), version });
        let life = Life::Created { model: text.into_owned(), version };
        room(self.requests.insert(object, Request { id: request, factory: None, life }), issues);
    }

    fn named(&mut self, object: u64, call: &Call, say: Say<'_>) {
        let id = String::from_utf8_lossy(&call.text);
        self.about(object, say, |request| Act::Named { request, id: &id });
    }

    fn submitted(&mut self, object: u64, thread: u32, issues: &mut Vec<Issue>, say: Say<'_>) {
        let next = self.next();
        let Some(request) = self.requests.get_mut(object) else {
            // It was made before anybody looked, or that was lost.
            say(Act::Created { request: next, thread, model: None, version: None });
            say(Act::Submitted { request: next });
            let life = Life::Submitted { model: String::new(), version: None };
            room(self.requests.insert(object, Request { id: next, factory: None, life }), issues);
            return;
        };
        match std::mem::replace(&mut request.life, Life::Inner) {
            Life::Created { model, version } => request.life = Life::Submitted { model, version },
            // A program may use its request again as it is, when it is over.
            Life::Submitted { model, version } => {
                say(Act::Deleted { request: request.id });
                let known = Some(model.as_str()).filter(|model| !model.is_empty());
                say(Act::Created { request: next, thread, model: known, version });
                *request = Request { id: next, factory: None, life: Life::Submitted { model, version } };
            }
            Life::Inner => {}
        }
        say(Act::Submitted { request: request.id });
    }

    /// The request is its maker's again, who may try once more.
    fn refused(&mut self, object: u64, error: u64, say: Say<'_>) {
        self.about(object, say, |request| Act::Refused { request, why: fault(error).unwrap_or(Fault::Unknown) });
    }

    fn executing(&mut self, object: u64, batch: u64, addresses: &[u64], issues: &mut Vec<Issue>, say: Say<'_>) {
        let told = usize::try_from(batch).unwrap_or(usize::MAX);
        let requests: Vec<_> = addresses.iter().take(told).map(|address| self.request(*address, issues).id).collect();
        say(Act::Executing { instance: InstanceId(object), batch, requests: &requests });
    }

    fn responded(
        &mut self,
        object: u64,
        [flags, error]: [u64; 2],
        factory: Option<u64>,
        issues: &mut Vec<Issue>,
        say: Say<'_>,
    ) {
        let made = self.responses.remove(object).or_else(|| {
            let request = *self.factories.get(factory?)?;
            Some(Response { request, factory })
        });
        let last = flags & FINAL != 0;
        let Some(Response { request, factory }) = made else {
            issues.push(Issue::ResponseUnattributed);
            if last {
                say(Act::Ended);
            }
            return;
        };
        let fault = fault(error);
        if !last {
            return say(Act::Responded { request, more: More::Expected, fault });
        }
        if let Some(factory) = factory.filter(|factory| self.factories.get(*factory) == Some(&request)) {
            self.factories.remove(factory);
        }
        say(Act::Responded { request, more: More::Done, fault });
    }

    fn computed(&mut self, object: u64, words: &[u64; 6], issues: &mut Vec<Issue>, say: Say<'_>) {
        let [instance, success, begin, compute_begin, compute_end, end] = *words;
        let request = self.request(object, issues).id;
        let outcome = if success == 0 { Outcome::Failure } else { Outcome::Success };
        let stamps = Stamps {
            begin: Nanos(begin),
            compute_begin: Nanos(compute_begin),
            compute_end: Nanos(compute_end),
            end: Nanos(end),
        };
        say(Act::Computed { request, instance: InstanceId(instance), outcome, stamps });
    }

    /// Says something of a request that was made through the interface.
    fn about<'a>(&self, object: u64, say: Say<'_>, act: impl FnOnce(RequestId) -> Act<'a>) {
        if let Some(request) = self.requests.get(object) {
            say(act(request.id));
        }
    }

    /// The request at this address. Where nobody made one through the interface, the server did so itself.
    fn request(&mut self, address: u64, issues: &mut Vec<Issue>) -> &mut Request {
        let id = self.next();
        let (request, made) = self.requests.found(address, || Request { id, factory: None, life: Life::Inner });
        room(made, issues);
        request
    }

    fn next(&mut self) -> RequestId {
        self.last = self.last.saturating_add(1);
        RequestId(self.last)
    }
}

/// Triton says -1 for "as the model's policy has it".
fn asked_for(version: u64) -> Option<u64> {
    i64::try_from(version).ok().and_then(|version| u64::try_from(version).ok())
}

/// 0 is no error, else one more than the error's code, as far as it could be read.
fn fault(error: u64) -> Option<Fault> {
    Some(match error {
        0 => return None,
        2 => Fault::Internal,
        3 => Fault::NotFound,
        4 => Fault::InvalidArgument,
        5 => Fault::Unavailable,
        6 => Fault::Unsupported,
        7 => Fault::AlreadyExists,
        8 => Fault::Cancelled,
        _ => Fault::Unknown,
    })
}

fn room(room: Room, issues: &mut Vec<Issue>) {
    if room == Room::Made {
        issues.push(Issue::ObjectsOverBound);
    }
}
