package hosted

import (
	"errors"
	"net/http"

	"github.com/pico-auth/pico-auth/internal/authorize"
	"github.com/pico-auth/pico-auth/internal/fault"
)

// showDevice asks for the code of a device, RFC 8628 section 3.3. One in the address is
// filled in and not sent: the user compares it first (section 5.4).
func (p *Pages) showDevice(w http.ResponseWriter, r *http.Request) {
	v, err := p.visitor(r)
	code := r.URL.Query().Get("user_code")
	switch {
	case err != nil:
		p.Error(w, r, err)
	case !v.in:
		w.Header().Set("Location", p.link("/sign-in", target{device: true, userCode: code}))
		w.WriteHeader(http.StatusSeeOther)
	default:
		p.askForCode(w, r, v, code, nil)
	}
}

// askForCode shows the page that takes a code, again after a wrong one.
func (p *Pages) askForCode(w http.ResponseWriter, r *http.Request, v visitor, code string, refused error) {
	l := p.language(r, "")
	view := deviceView{User: v.user(), form: form{Action: p.base + "/device", Fields: []field{{
		Name: "user_code", Type: "text", Label: l.text("field.user_code"), Hint: l.text("field.user_code.hint"), Value: code,
		Autocomplete: "off", Required: true, Focus: true,
	}}}}
	pg := page{name: "device"}
	if refused != nil {
		pg.status = p.blame(w, r, l, &view.form, refused)
	}
	if errors.Is(refused, authorize.ErrNoUserCode) {
		pg.status, view.Alert = http.StatusUnprocessableEntity, ""
		view.mark("user_code", l.text("device.wrong"))
	}
	pg.view = view
	p.render(w, r, pg)
}

// device shows which client asks and from where, then records what the user decides.
func (p *Pages) device(w http.ResponseWriter, r *http.Request) {
	values, err := readForm(w, r)
	if err != nil {
		p.Error(w, r, err)
		return
	}
	v, code := admitted(r), values.Get("user_code")
	by := v.actor(r.Context())
	switch action := values.Get("action"); action {
	case "allow", "deny":
		if err = p.requests.DecideDevice(r.Context(), by, code, action == "allow"); err == nil {
			p.deviceDone(w, r, action == "allow")
			return
		}
	default:
		var d authorize.Device
		if d, err = p.requests.Device(r.Context(), by, code); err == nil {
			l := p.language(r, "")
			p.render(w, r, page{name: "device_confirm", view: deviceConfirmView{
				form:   form{Action: p.base + "/device", Hidden: []hidden{{"user_code", d.Code}}},
				Client: shownClient(d.Client, ""), User: *v.user(), Code: d.Code, Address: d.Address, Scopes: l.scopes(d.Scopes), Lasts: l.lasts(d.Scopes),
			}})
			return
		}
	}
	if fault.KindOf(err) == fault.Unauthenticated || fault.KindOf(err) == fault.Internal {
		p.Error(w, r, err)
		return
	}
	p.askForCode(w, r, v, code, err)
}

func (p *Pages) deviceDone(w http.ResponseWriter, r *http.Request, allowed bool) {
	l, key := p.language(r, ""), "device.denied"
	if allowed {
		key = "device.done"
	}
	p.render(w, r, page{name: "message", view: messageView{Title: l.text(key + ".title"), Text: l.text(key + ".text"), Good: allowed}})
}
