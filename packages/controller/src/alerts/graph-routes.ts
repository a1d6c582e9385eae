import { isUlid } from "@kedge/domain";
import type { Clock } from "@kedge/kernel";
import type { FastifyInstance, FastifyReply, FastifyRequest } from "fastify";
import type { Stores } from "../stores.ts";
import { incidentGraph } from "./graph-layout.ts";
import { GRAPH_FORMATS, type GraphName, isGraphLinkValid } from "./graph-link.ts";
import { renderPng } from "./graph-png.ts";
import { renderSvg } from "./graph-svg.ts";
import { linkKey } from "./stored-policy.ts";

interface GraphRequest {
  readonly Params: { readonly file: string };
  readonly Querystring: { readonly expires?: unknown; readonly signature?: unknown };
}

/** `GET /incidents/<id>.svg` and `.png`, for whoever has a link that the controller signed. */
export function graphRoutes(stores: Stores, clock: Clock): (server: FastifyInstance) => void {
  return (server) => {
    server.get<GraphRequest>("/incidents/:file", (request, reply) => answer(request, reply));
  };

  function answer({ params, query }: FastifyRequest<GraphRequest>, reply: FastifyReply): FastifyReply {
    const name = parseName(params.file);
    const key = linkKey(stores);
    const link = { expires: String(query.expires ?? ""), signature: String(query.signature ?? "") };
    // The same answer to everybody without a link: nobody learns which incidents there are.
    if (name === undefined || key === undefined || !isGraphLinkValid(key, name, link, clock.now())) {
      return reply.code(403).send({ error: "the link is not valid, or not any more" });
    }
    const incident = stores.incidents.get(name.incidentId)?.value;
    if (incident === undefined) return reply.code(404).send({ error: "the incident is not kept any more" });
    const graph = incidentGraph(incident);
    reply.headers({ "cache-control": "private, max-age=60", "x-content-type-options": "nosniff" });
    reply.header("content-security-policy", "default-src 'none'; sandbox");
    if (name.format === "png") return reply.type("image/png").send(renderPng(graph));
    return reply.type("image/svg+xml").send(renderSvg(graph));
  }
}

function parseName(file: string): GraphName | undefined {
  const [incidentId = "", format, ...rest] = file.split(".");
  const known = GRAPH_FORMATS.find((one) => one === format);
  if (known === undefined || rest.length > 0 || !isUlid(incidentId)) return undefined;
  return { incidentId, format: known };
}
