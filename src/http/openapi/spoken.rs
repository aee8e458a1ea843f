//! How the dialects answer and refuse: what their clients read, whatever the API itself says.

use std::borrow::Cow;
use std::collections::BTreeMap;

use utoipa::openapi::schema::{AdditionalProperties, KnownFormat, SchemaFormat, Type};
use utoipa::openapi::{AllOf, ObjectBuilder, OneOfBuilder, Ref, RefOr, Response, Schema};
use utoipa::{IntoParams, IntoResponses, PartialSchema, ToSchema};
use uuid::Uuid;

use super::refusals::{SHELL, Voice, said};
use super::shapes;
use crate::domain::problem::Code::{
    self, Busy, ContentRejected, DatabaseUnavailable, FileTooLarge, Forbidden, Internal,
    InvalidRequest, KeysUnavailable, NotFound, ObjectMissing, PartsMissing, QuotaExceeded,
    SlotFull, StorageFull, StorageUnavailable, TicketClosed, TicketExpired, TooManyOpenTickets,
    TypeNotAccepted, Unauthenticated,
};

/// Where a slot speaks its dialects.
#[derive(Debug, IntoParams)]
#[into_params(parameter_in = Path)]
#[expect(dead_code, reason = "its shape is what is asked for")]
pub(in crate::http) struct Place {
    /// A slot whose `dialects` list this one.
    slot: String,
    /// A token that ends within an hour; or `-`, and the token comes as `Authorization: Bearer`
    /// or in the cookie.
    token: String,
}

/// Who may call a dialect's route at all.
const CALLER: &[Code] = &[Unauthenticated, Forbidden, NotFound, KeysUnavailable];
/// A form that takes too long, or is none.
const FORM: &[(u16, Code)] = &[(408, InvalidRequest), (415, InvalidRequest)];
/// What a mint answers, of one file.
const MINT: &[Code] = &[
    InvalidRequest,
    Forbidden,
    NotFound,
    SlotFull,
    QuotaExceeded,
    FileTooLarge,
    TypeNotAccepted,
    TooManyOpenTickets,
    StorageUnavailable,
    DatabaseUnavailable,
];
/// What needs a ticket open, and may have to judge it.
const JUDGED: &[Code] = &[
    InvalidRequest,
    Forbidden,
    NotFound,
    ObjectMissing,
    PartsMissing,
    TicketClosed,
    TicketExpired,
    ContentRejected,
    StorageUnavailable,
    DatabaseUnavailable,
    StorageFull,
];

macro_rules! spoken {
    ($($(#[$doc:meta])* $name:ident = $($voice:ident [$($codes:expr),*] $(+ $more:ident)?),*;)*) => {$(
        $(#[$doc])*
        pub(in crate::http) struct $name;

        impl IntoResponses for $name {
            fn responses() -> BTreeMap<String, RefOr<Response>> {
                let mut all = in_voice(Voice::Problem, SHELL);
                $(
                    $(all.extend(in_voice(Voice::$voice, $more));)?
                    for codes in [$($codes),*] {
                        all.extend(under_own_status(Voice::$voice, codes));
                    }
                )*
                said(all)
            }
        }
    )*};
}

fn in_voice(voice: Voice, codes: &[(u16, Code)]) -> Vec<(Voice, u16, Code)> {
    let codes = codes.iter();
    codes
        .map(|(status, code)| (voice, *status, *code))
        .collect()
}

fn under_own_status(voice: Voice, codes: &[Code]) -> Vec<(Voice, u16, Code)> {
    let codes = codes.iter();
    codes.map(|code| (voice, code.status(), *code)).collect()
}

spoken! {
    /// `GET …/f/{id}`.
    OwnFile = Problem [CALLER, &[StorageUnavailable, DatabaseUnavailable]];
    /// `POST …/tickets/{id}/complete`.
    OwnTicket = Problem [CALLER, JUDGED];
    /// `GET …/s3/params` and `POST …/s3/multipart`.
    UppyMint = Uppy [CALLER, MINT, &[Internal]];
    /// `GET …/s3/sts`.
    UppySts = Uppy [CALLER, &[InvalidRequest]];
    /// The signing of parts, which ends an upload that has become too large.
    UppySign = Uppy [CALLER, JUDGED, &[FileTooLarge, Internal]];
    /// What the store has of an upload.
    UppyStored = Uppy [CALLER, &[InvalidRequest, TicketClosed, TicketExpired, ContentRejected,
        StorageUnavailable, DatabaseUnavailable, StorageFull, Internal]];
    /// `POST …/s3/multipart/{upload}/complete`.
    UppyComplete = Uppy [CALLER, JUDGED, &[Internal]];
    /// `DELETE …/s3/multipart/{upload}`.
    UppyAbort = Uppy [CALLER, &[InvalidRequest, TicketClosed, TicketExpired, ContentRejected,
        DatabaseUnavailable, Internal]];
    /// `GET …/form`.
    FormList = Problem [CALLER, &[InvalidRequest, StorageUnavailable, DatabaseUnavailable,
        StorageFull]];
    /// `POST …/form`: a request that is refused as a whole, and a file where the slot answers by
    /// statuses.
    FormPost = Problem [CALLER, &[InvalidRequest, Busy]] + FORM,
        Success [MINT, JUDGED, &[Busy, Internal]];
    /// `DELETE …/form/{id}`.
    FormDelete = Problem [CALLER, &[DatabaseUnavailable]];
    /// `POST …/form/{id}`.
    FormOverride = Problem [CALLER, &[InvalidRequest, DatabaseUnavailable]];
    /// `GET …/jsonform`.
    JsonFormList = Words [CALLER, &[InvalidRequest, DatabaseUnavailable, Internal]];
    /// `POST …/jsonform`.
    JsonFormPost = Words [CALLER, MINT, JUDGED, &[Busy, Internal]] + FORM;
    /// `DELETE …/jsonform`.
    JsonFormDelete = Words [CALLER, &[InvalidRequest, DatabaseUnavailable, Internal]];
}

/// A refusal as both versions of Uppy read it.
#[derive(Debug)]
pub(in crate::http) struct UppyRefusal;

impl PartialSchema for UppyRefusal {
    fn schema() -> RefOr<Schema> {
        let text = |words: &str| {
            ObjectBuilder::new()
                .schema_type(Type::String)
                .description(Some(words))
        };
        let more = ObjectBuilder::new()
            .schema_type(Type::Object)
            .property("error", text("`detail`, where Companion says it."))
            .property("message", text("`detail`, where Uppy 5 looks for it."))
            .required("error")
            .required("message")
            .additional_properties(Some(AdditionalProperties::FreeForm(true)));
        let all = AllOf::builder()
            .item(Ref::from_schema_name("Problem"))
            .item(more);
        let words = "A problem, and its `detail` where both versions of Uppy look for it.";
        Schema::AllOf(all.description(Some(words)).build()).into()
    }
}

impl ToSchema for UppyRefusal {
    fn name() -> Cow<'static, str> {
        "UppyRefusal".into()
    }
}

/// How Uppy uploads one file.
#[derive(Debug, ToSchema)]
#[expect(dead_code, reason = "its shape is what is asked for")]
pub(in crate::http) struct UppyParams {
    /// `PUT` where the store takes no forms, which Uppy 5 alone can do.
    #[schema(pattern = "^(POST|PUT)$")]
    method: String,
    url: String,
    /// The form's fields, before the file as `file`. Empty for a PUT.
    fields: BTreeMap<String, String>,
    /// Empty; for a PUT only.
    #[schema(nullable = false)]
    headers: Option<BTreeMap<String, String>>,
    /// How long `url` works, in seconds.
    expires: u32,
}

/// An upload in parts.
#[derive(Debug, ToSchema)]
#[expect(dead_code, reason = "its shape is what is asked for")]
pub(in crate::http) struct UppyUpload {
    /// The ticket's id.
    key: Uuid,
    /// The same.
    #[schema(rename = "uploadId")]
    upload_id: Uuid,
    /// The staging bucket's name.
    bucket: String,
}

/// A PUT of a part.
#[derive(Debug, ToSchema)]
#[expect(dead_code, reason = "its shape is what is asked for")]
pub(in crate::http) struct UppyPart {
    url: String,
    /// How long `url` works, in seconds.
    expires: u32,
}

/// PUTs of parts, by their numbers.
#[derive(Debug, ToSchema)]
#[expect(dead_code, reason = "its shape is what is asked for")]
pub(in crate::http) struct UppyParts {
    #[schema(rename = "presignedUrls")]
    presigned_urls: BTreeMap<String, String>,
}

/// A part that the store has.
#[derive(Debug, ToSchema)]
#[schema(rename_all = "PascalCase")]
#[expect(dead_code, reason = "its shape is what is asked for")]
pub(in crate::http) struct UppyStoredPart {
    part_number: u32,
    /// With its quotes.
    #[schema(rename = "ETag")]
    etag: String,
    /// Bytes.
    size: u64,
}

/// An upload whose parts are put together.
#[derive(Debug, ToSchema)]
#[expect(dead_code, reason = "its shape is what is asked for")]
pub(in crate::http) struct UppyCompleted {
    /// An address that leads to the file.
    location: String,
    /// The ticket's id.
    key: Uuid,
    /// The staging bucket's name.
    bucket: String,
    ticket: shapes::Ticket,
}

/// Nothing more is to be said.
#[derive(Debug, ToSchema)]
pub(in crate::http) struct UppyAborted {}

macro_rules! row {
    ($(#[$doc:meta])* $name:ident { $($(#[$extra_doc:meta])* $extra:ident: $kind:ty),* }) => {
        $(#[$doc])*
        #[derive(Debug, ToSchema)]
        #[expect(dead_code, reason = "its shape is what is asked for")]
        pub(in crate::http) struct $name {
            $($(#[$extra_doc])* $extra: $kind,)*
            /// Of a file that was taken.
            #[schema(nullable = false)]
            id: Option<Uuid>,
            /// Where a file that was taken is to be had.
            #[schema(nullable = false)]
            url: Option<String>,
            /// Of an image.
            #[schema(rename = "thumbnailUrl", nullable = false)]
            thumbnail_url: Option<String>,
            /// What deletes a committed file.
            #[schema(rename = "deleteUrl", nullable = false)]
            delete_url: Option<String>,
            #[schema(rename = "deleteType", pattern = "^DELETE$", nullable = false)]
            delete_type: Option<String>,
            /// Why a file was not taken, in the words of jQuery File Upload.
            #[schema(nullable = false)]
            error: Option<String>,
            /// The code of that problem.
            #[schema(nullable = false)]
            code: Option<String>,
            #[schema(nullable = false)]
            detail: Option<String>,
            /// What `content-rejected` says more.
            #[schema(nullable = false)]
            reason: Option<String>,
        }
    };
}

row! {
    /// What became of a file.
    FormRow {
        name: String,
        /// Bytes; of a file in chunks, those that are here.
        size: u64,
        /// The media type of its bytes, or as the client said.
        #[schema(required)]
        r#type: Option<String>
    }
}

row! {
    /// What became of the first file, for `form_answer = "is_valid"`.
    FormValid {
        is_valid: bool,
        #[schema(nullable = false)]
        name: Option<String>,
        #[schema(nullable = false)]
        size: Option<u64>,
        r#type: Option<String>
    }
}

row! {
    /// The first file, for `form_answer = "success"`.
    FormSuccess {
        success: bool,
        name: String,
        size: u64,
        #[schema(required)]
        r#type: Option<String>
    }
}

/// A file that was not taken, for `form_answer = "success"`.
#[derive(Debug, ToSchema)]
#[expect(dead_code, reason = "its shape is what is asked for")]
pub(in crate::http) struct FormFailure {
    /// Always false.
    success: bool,
    /// In the words of jQuery File Upload.
    error: String,
    /// Absent when the form has no file.
    #[schema(nullable = false)]
    code: Option<String>,
}

/// Files, in the order of the form or newest first.
#[derive(Debug, ToSchema)]
#[expect(dead_code, reason = "its shape is what is asked for")]
pub(in crate::http) struct FormRows {
    files: Vec<FormRow>,
}

/// What is here of a file that comes in chunks; null when nothing is.
#[derive(Debug, ToSchema)]
#[expect(dead_code, reason = "its shape is what is asked for")]
pub(in crate::http) struct FormArrived {
    #[schema(required)]
    file: Option<FormArrivedFile>,
}

/// A file that comes in chunks.
#[derive(Debug, ToSchema)]
#[expect(dead_code, reason = "its shape is what is asked for")]
pub(in crate::http) struct FormArrivedFile {
    name: String,
    /// Bytes that are here.
    size: u64,
}

macro_rules! one_of {
    ($($(#[$doc:meta])* $name:ident = $words:literal [$($choice:literal),*];)*) => {$(
        $(#[$doc])*
        #[derive(Debug)]
        pub(in crate::http) struct $name;

        impl PartialSchema for $name {
            fn schema() -> RefOr<Schema> {
                OneOfBuilder::new()
                    $(.item(Ref::from_schema_name($choice)))*
                    .description(Some($words))
                    .into()
            }
        }

        impl ToSchema for $name {
            fn name() -> Cow<'static, str> {
                stringify!($name).into()
            }
        }
    )*};
}

one_of! {
    /// The answer to a form.
    FormAnswer = "As the slot's `form_answer` says." ["FormRows", "FormValid", "FormSuccess"];
    /// The answer to a look.
    FormLook = "The files, or what is here of the one asked for." ["FormRows", "FormArrived"];
}

fn binary(words: &str) -> ObjectBuilder {
    ObjectBuilder::new()
        .schema_type(Type::String)
        .format(Some(SchemaFormat::KnownFormat(KnownFormat::Binary)))
        .description(Some(words))
}

fn input(words: &str) -> ObjectBuilder {
    ObjectBuilder::new()
        .schema_type(Type::String)
        .description(Some(words))
}

/// A form of a page.
#[derive(Debug)]
pub(in crate::http) struct FormBody;

impl PartialSchema for FormBody {
    fn schema() -> RefOr<Schema> {
        let file = "A file, in an input of any name (`files[]`, most often), as often as wanted.";
        ObjectBuilder::new()
            .schema_type(Type::Object)
            .description(Some(
                "The inputs of a page. What they say of the files after them stands in for the \
                 query. Others are ignored.",
            ))
            .property("ref", input("As in the query."))
            .property("redirect", input("As in the query."))
            .property("back", input("As in the query."))
            .property("file", binary(file))
            .additional_properties(Some(AdditionalProperties::FreeForm(true)))
            .into()
    }
}

impl ToSchema for FormBody {
    fn name() -> Cow<'static, str> {
        "FormBody".into()
    }
}

/// A form of a field of django-jsonform.
#[derive(Debug)]
pub(in crate::http) struct JsonFormBody;

impl PartialSchema for JsonFormBody {
    fn schema() -> RefOr<Schema> {
        ObjectBuilder::new()
            .schema_type(Type::Object)
            .description(Some("A file, and the field it is for."))
            .property("model_name", input("Kept in the file's `metadata`."))
            .property("field_name", input("Kept too."))
            .property("coords", input("Kept too."))
            .property("file", binary("The file, behind the other inputs."))
            .required("file")
            .additional_properties(Some(AdditionalProperties::FreeForm(true)))
            .into()
    }
}

impl ToSchema for JsonFormBody {
    fn name() -> Cow<'static, str> {
        "JsonFormBody".into()
    }
}

/// A file that django-jsonform takes for a value.
#[derive(Debug, ToSchema)]
#[expect(dead_code, reason = "its shape is what is asked for")]
pub(in crate::http) struct JsonFormValue {
    /// The file's key.
    value: String,
}

/// A page of the library, newest first; empty past the last.
#[derive(Debug, ToSchema)]
#[expect(dead_code, reason = "its shape is what is asked for")]
pub(in crate::http) struct JsonFormPage {
    results: Vec<JsonFormResult>,
}

/// A file of the library.
#[derive(Debug, ToSchema)]
#[expect(dead_code, reason = "its shape is what is asked for")]
pub(in crate::http) struct JsonFormResult {
    /// The file's key.
    value: String,
    metadata: JsonFormMetadata,
    /// Of an image.
    #[schema(nullable = false)]
    thumbnail: Option<String>,
}

/// What the library shows of a file.
#[derive(Debug, ToSchema)]
#[expect(dead_code, reason = "its shape is what is asked for")]
pub(in crate::http) struct JsonFormMetadata {
    name: String,
    #[schema(format = DateTime)]
    date: String,
    /// Bytes.
    size: u64,
}
