// Every interface of the seed against the package's, member by member and in both directions.

import type * as Seed from './seed/seed.js';
import type * as Pkg from 'meshwork';

type And<A, B> = [A, B] extends [true, true] ? true : false;
/** Each is assignable to the other. */
type Same<A, B> = [A] extends [B] ? ([B] extends [A] ? true : false) : false;
/** The seed's own escape from the types: true for nothing else. */
type Escapes<T> = 0 extends 1 & T ? true : false;
/** Both or neither, and then the same. */
type SameValue<A, B> = And<Same<Escapes<A>, Escapes<B>>, Same<A, B>>;
type Method = (...given: never[]) => unknown;
/** Methods by their parameters and what they return: as wholes, TypeScript compares parameters in either direction. */
type SameMember<A, B> = Escapes<A> extends true
  ? Escapes<B>
  : [A, B] extends [Method, Method]
    ? And<SameValue<Given<A>, Given<B>>, SameValue<Returned<A>, Returned<B>>>
    : SameValue<A, B>;
type Given<T> = T extends (...given: infer P) => unknown ? P : never;
type Returned<T> = T extends (...given: never[]) => infer R ? R : never;
type IsOptional<T, K extends keyof T> = {} extends Pick<T, K> ? true : false;

/** Members of A that B has not, or has otherwise. */
type Differing<A, B> = {
  [K in keyof A]-?: K extends keyof B
    ? And<SameMember<A[K], B[K]>, Same<IsOptional<A, K>, IsOptional<B, K>>> extends true
      ? never
      : K
    : K;
}[keyof A];
/** Members that B has beside A's and that an object of somebody else would have to have. */
type Demanded<A, B> = { [K in Exclude<keyof B, keyof A>]-?: IsOptional<B, K> extends true ? never : K }[Exclude<keyof B, keyof A>];

/** True; or the names of the members that differ, which the compiler then names. */
type Conforms<A, B> = [Differing<A, B> | Demanded<A, B>] extends [never]
  ? And<[A] extends [B] ? true : false, [B] extends [A] ? true : false>
  : Differing<A, B> | Demanded<A, B>;
type Expect<T extends true> = T;

export type Section1 = [
  Expect<Conforms<Seed.IMeshCoordinator, Pkg.IMeshCoordinator>>,
  Expect<Conforms<Seed.PeerAgent, Pkg.PeerAgent>>,
  Expect<Conforms<Seed.MeshTask, Pkg.MeshTask>>,
  Expect<Conforms<Seed.MeshMetrics, Pkg.MeshMetrics>>,
  Expect<Conforms<Seed.MeshCoordinatorConfig, Pkg.MeshCoordinatorConfig>>,
];
export type Section2 = [
  Expect<Conforms<Seed.IPeerDiscoverySystem, Pkg.IPeerDiscoverySystem>>,
  Expect<Conforms<Seed.PeerInfo, Pkg.PeerInfo>>,
  Expect<Conforms<Seed.PeerDiscoveryMetrics, Pkg.PeerDiscoveryMetrics>>,
  Expect<Conforms<Seed.PeerDiscoveryConfig, Pkg.PeerDiscoveryConfig>>,
];
export type Section3 = [
  Expect<Conforms<Seed.IDistributedCompletionDetector, Pkg.IDistributedCompletionDetector>>,
  Expect<Conforms<Seed.CompletionProbe, Pkg.CompletionProbe>>,
  Expect<Conforms<Seed.CompletionDetectorMetrics, Pkg.CompletionDetectorMetrics>>,
  Expect<Conforms<Seed.DistributedCompletionConfig, Pkg.DistributedCompletionConfig>>,
];
export type Section4 = [
  Expect<Conforms<Seed.IMeshLoadBalancer, Pkg.IMeshLoadBalancer>>,
  Expect<Conforms<Seed.LoadDistribution, Pkg.LoadDistribution>>,
  Expect<Conforms<Seed.LoadBalancerMetrics, Pkg.LoadBalancerMetrics>>,
  Expect<Conforms<Seed.LoadBalancerConfig, Pkg.LoadBalancerConfig>>,
];
export type Section5 = [
  Expect<Conforms<Seed.ITopologyRouter, Pkg.ITopologyRouter>>,
  Expect<Conforms<Seed.SwarmConfig, Pkg.SwarmConfig>>,
  Expect<Conforms<Seed.TopologyValidationResult, Pkg.TopologyValidationResult>>,
  Expect<Conforms<Seed.TopologyRouterMetrics, Pkg.TopologyRouterMetrics>>,
];
export type Section6 = [
  Expect<Conforms<Seed.IMessageBroker, Pkg.IMessageBroker>>,
  Expect<Conforms<Seed.Message, Pkg.Message>>,
];
export type Section7 = [
  Expect<Conforms<Seed.ISwarmMemoryManager, Pkg.ISwarmMemoryManager>>,
  Expect<Conforms<Seed.PeerState, Pkg.PeerState>>,
];
export type Section8 = [
  Expect<Conforms<Seed.IQueryController, Pkg.IQueryController>>,
  Expect<Conforms<Seed.TokenSavings, Pkg.TokenSavings>>,
];

export type OpenNames = [
  Expect<Conforms<Seed.ICoordinator, Pkg.ICoordinator>>,
  Expect<Conforms<Seed.AgentSession, Pkg.AgentSession>>,
  Expect<Conforms<Seed.CoordinatorMetrics, Pkg.CoordinatorMetrics>>,
  Expect<Conforms<Seed.QueenAgentConfig, Pkg.QueenAgentConfig>>,
  Expect<Conforms<Seed.ConsensusConfig, Pkg.ConsensusConfig>>,
  Expect<Conforms<Seed.MessageBrokerConfig, Pkg.MessageBrokerConfig>>,
  Expect<Conforms<Seed.ArtifactStorage, Pkg.ArtifactStorage>>,
  Expect<Conforms<Seed.SwarmMemoryEntry, Pkg.SwarmMemoryEntry>>,
  Expect<Conforms<Seed.SwarmMemoryEntry['metadata'], Pkg.SwarmMemoryMetadata>>,
  Expect<Conforms<Seed.SwarmMemoryQuery, Pkg.SwarmMemoryQuery>>,
  Expect<Conforms<Seed.Logger, Pkg.Logger>>,
  Expect<SameValue<Seed.AgentState, Pkg.AgentState>>,
  Expect<SameValue<Seed.TopologyType, Pkg.TopologyType>>,
  Expect<SameMember<Seed.MessageHandler, Pkg.MessageHandler>>,
  Expect<Conforms<Seed.MessageBroker, Pkg.MessageBroker>>,
  Expect<Conforms<Seed.QueryController, Pkg.QueryController>>,
  Expect<Conforms<Seed.SwarmMemoryManager, Pkg.SwarmMemoryManager>>,
];

/** What a factory takes is the seed's, to the letter; what it returns may have more. */
type Makes<A extends Method, B extends Method> = And<
  SameValue<Parameters<A>, Parameters<B>>,
  [ReturnType<B>] extends [ReturnType<A>] ? true : false
>;

export type Section9 = [
  Expect<Makes<typeof Seed.createMeshCoordinator, typeof Pkg.createMeshCoordinator>>,
  Expect<Makes<typeof Seed.createPeerDiscoverySystem, typeof Pkg.createPeerDiscoverySystem>>,
  Expect<Makes<typeof Seed.createDistributedCompletionDetector, typeof Pkg.createDistributedCompletionDetector>>,
  Expect<Makes<typeof Seed.createMeshLoadBalancer, typeof Pkg.createMeshLoadBalancer>>,
];

// The checks themselves notice: a member that is missing, of another type, optional, demanded beside, or an escape.

interface Sample {
  name: string;
  count?: number;
  send(to: string, times: number): Promise<void>;
}
type Changed<Changes> = Omit<Sample, keyof Changes> & Changes;

export type Noticed = [
  Expect<Conforms<Sample, Sample>>,
  Expect<Conforms<Sample, Changed<{ more?: string }>>>,
  // @ts-expect-error a member is missing
  Expect<Conforms<Sample, Omit<Sample, 'name'>>>,
  // @ts-expect-error an optional member is missing
  Expect<Conforms<Sample, Omit<Sample, 'count'>>>,
  // @ts-expect-error another type
  Expect<Conforms<Sample, Changed<{ name: number }>>>,
  // @ts-expect-error a wider type
  Expect<Conforms<Sample, Changed<{ name: string | number }>>>,
  // @ts-expect-error optional where the seed's is not
  Expect<Conforms<Sample, Changed<{ name?: string }>>>,
  // @ts-expect-error needed where the seed's is optional
  Expect<Conforms<Sample, Changed<{ count: number }>>>,
  // @ts-expect-error one more that others have not
  Expect<Conforms<Sample, Changed<{ more: string }>>>,
  // @ts-expect-error a parameter of another type
  Expect<Conforms<Sample, Changed<{ send(to: string, times: string): Promise<void> }>>>,
  // @ts-expect-error a narrower parameter, which TypeScript alone would accept of a method
  Expect<Conforms<Sample, Changed<{ send(to: 'a', times: number): Promise<void> }>>>,
  // @ts-expect-error returns something else
  Expect<Conforms<Sample, Changed<{ send(to: string, times: number): void }>>>,
  // @ts-expect-error one parameter less
  Expect<Conforms<Sample, Changed<{ send(to: string): Promise<void> }>>>,
  // @ts-expect-error an escape from the types
  Expect<Conforms<Sample, Changed<{ name: ReturnType<typeof JSON.parse> }>>>,
];
