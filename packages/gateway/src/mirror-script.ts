/** Longest body of a request that is copied, in bytes: it must be whole in HAProxy's buffer beside the headers. */
export const LARGEST_MIRRORED_BODY = 12_000;

/** Copies that one thread of HAProxy may have under way, and that may wait for their turn. */
const WORKERS = 16;
const MOST_WAITING = 32;
/** Seconds that a copy may make no progress, and may take in all. */
const PATIENCE_SECONDS = 10;
const LONGEST_SECONDS = 60;
/** Copies after which memory is collected: Lua does not know how much more than itself a socket holds. */
const COLLECT_EVERY = 256;
/** How often a worker without work looks for some; and when there was none for a while. */
const POLL_MS = 20;
const IDLE_POLL_MS = 1_000;
const IDLE_AFTER_SECONDS = 30;

/**
 * Lua that HAProxy runs in each thread; `socketPath` is where it sends copies. `lua.kedge_mirror` writes the request
 * down and returns without waiting; workers send what was written down. (A task for each copy would be simpler, but
 * HAProxy 2.6 never frees the function of one.) The variable `txn.copy` holds the choice for the copy before
 * ("e4:17:s"), and after it the copy's slot and its number ("4:1.52"), or why there is none: "4:large" (no whole body),
 * "4:busy" (too many waiting). The answer is read and dropped piece by piece.
 */
export function mirrorScript(socketPath: string): string {
  return `local socket_path = "${socketPath}"
local DROPPED = {
  ["connection"] = true, ["keep-alive"] = true, ["proxy-connection"] = true, ["te"] = true, ["trailer"] = true,
  ["transfer-encoding"] = true, ["upgrade"] = true, ["expect"] = true, ["content-length"] = true, ["kedge-shadow"] = true,
}
local waiting, first, last = {}, 1, 0
local last_asked = 0
local sent = 0

local function send(request)
  local socket = core.tcp()
  socket:settimeout(${PATIENCE_SECONDS})
  local began = core.now().sec
  if socket:connect("unix@" .. socket_path) and socket:send(request) then
    local _, failure
    repeat
      _, failure = socket:receive(8192)
    until failure or core.now().sec - began > ${LONGEST_SECONDS}
  end
  socket:close()
end

local function work()
  while true do
    local request = waiting[first]
    if request then
      waiting[first] = nil
      first = first + 1
      pcall(send, request)
      sent = sent + 1
      if sent % ${COLLECT_EVERY} == 0 then collectgarbage() end
    elseif core.now().sec - last_asked > ${IDLE_AFTER_SECONDS} then
      core.msleep(${IDLE_POLL_MS})
    else
      core.msleep(${POLL_MS})
    end
  end
end

local function written(txn, headers, body, belongs)
  local lines = { txn.f:method() .. " " .. txn.f:pathq() .. " HTTP/1.1" }
  for name, values in pairs(headers) do
    if not DROPPED[name] then
      for _, value in pairs(values) do lines[#lines + 1] = name .. ": " .. value end
    end
  end
  lines[#lines + 1] = "connection: close"
  lines[#lines + 1] = "content-length: " .. #body
  lines[#lines + 1] = "kedge-shadow: " .. belongs
  return table.concat(lines, "\\r\\n") .. "\\r\\n\\r\\n" .. body
end

local function copy(txn, slot, choice)
  last_asked = core.now().sec
  local headers = txn.http:req_get_headers()
  if headers["transfer-encoding"] or headers["upgrade"] then return "large" end
  local length = headers["content-length"] and tonumber(headers["content-length"][0]) or 0
  local body = length > 0 and txn.f:req_body() or ""
  if #body ~= length then return "large" end
  if last - first >= ${MOST_WAITING} - 1 then return "busy" end
  local number = core.thread .. "." .. (last + 1)
  local belongs = txn.f:capture_req_hdr(0) .. "|" .. choice .. "|" .. slot .. ":" .. number
  waiting[last + 1] = written(txn, headers, body, belongs)
  last = last + 1
  return number
end

for _ = 1, ${WORKERS} do core.register_task(work) end
core.register_action("kedge_mirror", { "http-req" }, function(txn)
  local choice = txn:get_var("txn.copy")
  local slot = string.match(choice, "%d+")
  local done, number = pcall(copy, txn, slot, choice)
  txn:set_var("txn.copy", slot .. ":" .. (done and number or "busy"))
end, 0)
`;
}
