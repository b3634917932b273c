// Starts Swagger UI on this server's own description. A file of its own, since
// the page's Content-Security-Policy allows no inline script.
window.addEventListener("load", function () {
  window.ui = SwaggerUIBundle({
    url: document.getElementById("swagger-ui").dataset.description,
    dom_id: "#swagger-ui",
    presets: [SwaggerUIBundle.presets.apis],
    layout: "BaseLayout",
    deepLinking: true,
    validatorUrl: null, // the default sends the description to another server
    tryItOutEnabled: true,
    displayRequestDuration: true,
    defaultModelsExpandDepth: 0,
    responseInterceptor: function (response) {
      if (/\/auth\/(login|refresh|me\/password)$/.test(response.url)) fillIn(response);
      return response;
    },
    onComplete: function () { document.getElementById("login").hidden = false; },
  });
});

// Every request of the page uses the access token of the last login or refresh.
function fillIn(response) {
  const body = response.body || response.obj;
  if (response.status === 200 && body && body.access_token) {
    window.ui.preauthorizeApiKey("bearer", body.access_token);
  }
}

// The box for the login.
document.getElementById("login").addEventListener("submit", async function (event) {
  event.preventDefault();
  const said = document.getElementById("login-said");
  const fields = new FormData(event.target);
  try {
    const response = await fetch(event.target.dataset.login, {
      method: "POST", headers: { "Content-Type": "application/json" }, credentials: "omit",
      body: JSON.stringify({ email: fields.get("email"), password: fields.get("password") }),
    });
    const body = await response.json();
    if (response.ok) {
      fillIn({ status: response.status, body: body });
      event.target.elements.password.value = "";
      said.textContent = "Logged in as " + fields.get("email") + ". The token is valid for " + Math.round(body.expires_in / 60) + " minutes.";
    } else {
      said.textContent = body.detail || "The login failed.";
    }
  } catch {
    said.textContent = "The server does not respond.";
  }
});

// Swagger UI's dark style, where the reader's system is dark.
const dark = matchMedia("(prefers-color-scheme: dark)");
const paint = () => document.documentElement.classList.toggle("dark-mode", dark.matches);
dark.addEventListener("change", paint);
paint();
