//! What may be asked of a server, by the message that asks it.

use std::future::Future;
use std::time::Duration;

use tonic::{Request, Response, Status, Streaming};

use super::calls::whole;
use super::channel::Channel;
use crate::proto;

/// Largest answer that is taken, in bytes.
const LARGEST: usize = 64 << 20;

/// A message that is answered by one other.
pub trait Question: Clone + Send + 'static {
    /// What answers it.
    type Answer;

    /// Whether it makes objects that any server of the same store finds by the id of the request, where it comes again.
    const IS_FOUND_AGAIN: bool = false;

    /// Where its id goes, where such calls have one.
    fn request_id(&mut self) -> Option<&mut Vec<u8>> {
        None
    }

    /// Asks it. Where the server is slower than `left`, it need not answer any more.
    #[doc(hidden)]
    fn send(
        self,
        channel: Channel,
        left: Duration,
    ) -> impl Future<Output = Result<Response<Self::Answer>, Status>> + Send;
}

pub(super) fn send<Q: Question>(
    question: Q,
    channel: Channel,
    left: Duration,
) -> impl Future<Output = Result<Response<Q::Answer>, Status>> + Send {
    question.send(channel, left)
}

fn timed<T>(message: T, left: Duration) -> Request<T> {
    let mut request = Request::new(message);
    request.set_timeout(whole(left));
    request
}

/// A client of a service.
macro_rules! client {
    ($service:ident :: $client:ident, $channel:expr) => {{
        let channel = $channel;
        let origin = channel.origin();
        proto::$service::$client::with_origin(channel, origin).max_decoding_message_size(LARGEST)
    }};
}

/// The questions of one service; those behind `once` carry an id, and of those behind `made` what they made is found again.
macro_rules! questions {
    ($service:ident :: $client:ident { $($method:ident: $question:ident => $answer:ident,)* }
     once { $($once:ident: $change:ident => $done:ident,)* }
     $(made { $($make:ident: $maker:ident => $made:ident,)* })?) => {
        $(impl Question for proto::$question {
            type Answer = proto::$answer;

            async fn send(self, channel: Channel, left: Duration) -> Result<Response<proto::$answer>, Status> {
                client!($service::$client, channel).$method(timed(self, left)).await
            }
        })*
        $(impl Question for proto::$change {
            type Answer = proto::$done;

            fn request_id(&mut self) -> Option<&mut Vec<u8>> {
                Some(&mut self.request_id)
            }

            async fn send(self, channel: Channel, left: Duration) -> Result<Response<proto::$done>, Status> {
                client!($service::$client, channel).$once(timed(self, left)).await
            }
        })*
        $($(impl Question for proto::$maker {
            type Answer = proto::$made;

            const IS_FOUND_AGAIN: bool = true;

            fn request_id(&mut self) -> Option<&mut Vec<u8>> {
                Some(&mut self.request_id)
            }

            async fn send(self, channel: Channel, left: Duration) -> Result<Response<proto::$made>, Status> {
                client!($service::$client, channel).$make(timed(self, left)).await
            }
        })*)?
    };
}

questions!(key_service_client::KeyServiceClient {
    list_namespaces: ListNamespacesRequest => ListNamespacesResponse,
    get_object: GetObjectRequest => GetObjectResponse,
    list_objects: ListObjectsRequest => ListObjectsResponse,
} once {
    update_object: UpdateObjectRequest => UpdateObjectResponse,
    rename_key: RenameKeyRequest => RenameKeyResponse,
    destroy_object: DestroyObjectRequest => DestroyObjectResponse,
    export_key: ExportKeyRequest => ExportKeyResponse,
} made {
    generate_key: GenerateKeyRequest => GenerateKeyResponse,
    generate_keys: GenerateKeysRequest => GenerateKeysResponse,
    generate_key_pair: GenerateKeyPairRequest => GenerateKeyPairResponse,
    import_key: ImportKeyRequest => ImportKeyResponse,
    import_document: ImportDocumentRequest => ImportDocumentResponse,
});

questions!(crypto_service_client::CryptoServiceClient {
    batch: BatchRequest => BatchResponse,
    get_jwks: GetJwksRequest => GetJwksResponse,
} once {
    sign: SignRequest => SignResponse,
    wrap: WrapRequest => WrapResponse,
    unwrap: UnwrapRequest => UnwrapResponse,
    encapsulate: EncapsulateRequest => EncapsulateResponse,
    tokenize: TokenizeRequest => TokenizeResponse,
    detokenize: DetokenizeRequest => DetokenizeResponse,
    make_user_key: MakeUserKeyRequest => MakeUserKeyResponse,
    encrypt_compat: EncryptCompatRequest => EncryptCompatResponse,
    decrypt_compat: DecryptCompatRequest => DecryptCompatResponse,
    mac_compat: MacCompatRequest => MacCompatResponse,
    verify: VerifyRequest => VerifyResponse,
    encrypt_message: EncryptMessageRequest => EncryptMessageResponse,
    decrypt_message: DecryptMessageRequest => DecryptMessageResponse,
    reencrypt_message: ReencryptMessageRequest => ReencryptMessageResponse,
    generate_data_key: GenerateDataKeyRequest => GenerateDataKeyResponse,
    generate_data_key_pair: GenerateDataKeyPairRequest => GenerateDataKeyPairResponse,
    sign_jws: SignJwsRequest => SignJwsResponse,
    verify_jws: VerifyJwsRequest => VerifyJwsResponse,
} made {
    derive: DeriveRequest => DeriveResponse,
    derive_child: DeriveChildRequest => DeriveChildResponse,
    decapsulate: DecapsulateRequest => DecapsulateResponse,
});

questions!(admin_service_client::AdminServiceClient {
    get_server_info: GetServerInfoRequest => GetServerInfoResponse,
    list_all_namespaces: ListAllNamespacesRequest => ListAllNamespacesResponse,
    list_policies: ListPoliciesRequest => ListPoliciesResponse,
    get_policy: GetPolicyRequest => GetPolicyResponse,
    list_publishers: ListPublishersRequest => ListPublishersResponse,
    list_quotas: ListQuotasRequest => ListQuotasResponse,
    list_key_rules: ListKeyRulesRequest => ListKeyRulesResponse,
    list_blocks: ListBlocksRequest => ListBlocksResponse,
    list_domains: ListDomainsRequest => ListDomainsResponse,
    get_seal_status: GetSealStatusRequest => GetSealStatusResponse,
} once {
    create_namespace: CreateNamespaceRequest => CreateNamespaceResponse,
    remove_namespace: RemoveNamespaceRequest => RemoveNamespaceResponse,
    change_namespace: ChangeNamespaceRequest => ChangeNamespaceResponse,
    apply_policy: ApplyPolicyRequest => ApplyPolicyResponse,
    remove_policy: RemovePolicyRequest => RemovePolicyResponse,
    add_publisher: AddPublisherRequest => AddPublisherResponse,
    remove_publisher: RemovePublisherRequest => RemovePublisherResponse,
    set_quota: SetQuotaRequest => SetQuotaResponse,
    remove_quota: RemoveQuotaRequest => RemoveQuotaResponse,
    set_key_rule: SetKeyRuleRequest => SetKeyRuleResponse,
    remove_key_rule: RemoveKeyRuleRequest => RemoveKeyRuleResponse,
    create_block: CreateBlockRequest => CreateBlockResponse,
    release_block: ReleaseBlockRequest => ReleaseBlockResponse,
    rotate_domain: RotateDomainRequest => RotateDomainResponse,
    change_key_state: ChangeKeyStateRequest => ChangeKeyStateResponse,
    set_key_tags: SetKeyTagsRequest => SetKeyTagsResponse,
    set_key_audit: SetKeyAuditRequest => SetKeyAuditResponse,
});

questions!(approval_service_client::ApprovalServiceClient {
    list_approvals: ListApprovalsRequest => ListApprovalsResponse,
} once {
    approve: ApproveRequest => ApproveResponse,
});

questions!(lifecycle_service_client::LifecycleServiceClient {
    list_tombstones: ListTombstonesRequest => ListTombstonesResponse,
    list_versions: ListVersionsRequest => ListVersionsResponse,
} once {
    change_key_life: ChangeKeyLifeRequest => ChangeKeyLifeResponse,
    destroy_due_keys: DestroyDueKeysRequest => DestroyDueKeysResponse,
    release_key_name: ReleaseKeyNameRequest => ReleaseKeyNameResponse,
    rotate_key: RotateKeyRequest => RotateKeyResponse,
    activate_key: ActivateKeyRequest => ActivateKeyResponse,
    set_alias: SetAliasRequest => SetAliasResponse,
    grant_key: GrantKeyRequest => GrantKeyResponse,
    rotate_due_keys: RotateDueKeysRequest => RotateDueKeysResponse,
});

questions!(audit_service_client::AuditServiceClient {
    query_audit: QueryAuditRequest => QueryAuditResponse,
    prove_audit: ProveAuditRequest => ProveAuditResponse,
    get_audit_keys: GetAuditKeysRequest => GetAuditKeysResponse,
    get_audit_checkpoint: GetAuditCheckpointRequest => GetAuditCheckpointResponse,
} once {});

/// A message that is answered by several, for as long as that takes.
pub trait Stream: Clone + Send + 'static {
    /// What answers it, again and again.
    type Part;

    /// Whether it ends by itself never, and says something only where something happens.
    const FOLLOWS: bool = false;

    /// Whether it changes anything.
    const CHANGES: bool = false;

    /// Asks it.
    #[doc(hidden)]
    fn open(self, channel: Channel) -> impl Future<Output = Result<Streaming<Self::Part>, Status>> + Send;
}

pub(super) fn open<S: Stream>(
    stream: S,
    channel: Channel,
) -> impl Future<Output = Result<Streaming<S::Part>, Status>> + Send {
    stream.open(channel)
}

macro_rules! streams {
    ($service:ident :: $client:ident { $($method:ident: $request:ident => $part:ident $(($is:ident))?,)* }) => {
        $(impl Stream for proto::$request {
            type Part = proto::$part;

            $(const $is: bool = true;)?

            async fn open(self, channel: Channel) -> Result<Streaming<proto::$part>, Status> {
                let mut client = client!($service::$client, channel);
                client.$method(self).await.map(Response::into_inner)
            }
        })*
    };
}

streams!(admin_service_client::AdminServiceClient {
    replay_policy: ReplayPolicyRequest => ReplayPolicyResponse,
    rewrap_domain: RewrapDomainRequest => RewrapDomainResponse (CHANGES),
});

streams!(audit_service_client::AuditServiceClient {
    follow_audit: FollowAuditRequest => FollowAuditResponse (FOLLOWS),
    read_audit: ReadAuditRequest => ReadAuditResponse,
    verify_audit: VerifyAuditRequest => VerifyAuditResponse,
    explain_record: ExplainRecordRequest => ExplainRecordResponse,
    make_report: MakeReportRequest => MakeReportResponse,
});

questions!(random_service_client::RandomServiceClient {
    generate_random: GenerateRandomRequest => GenerateRandomResponse,
} once {});
